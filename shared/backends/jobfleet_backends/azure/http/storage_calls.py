"""One request to a storage service: bounded in time, counted, its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
from azure.core.exceptions import AzureError

from jobfleet_backends.azure.http.azure_errors import result_of, translate
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.request_counter import RequestCounter

READ_AGAIN_AFTER = (0.1, 0.4)
READ_AGAIN_WITHIN = 4.0

_Answer = TypeVar("_Answer")


class StorageCalls:
    """Sends requests of one service.

    Args:
        address: the service's address, without secrets.
        role: what an identity needs for it.
        seconds: limit of one request. The transport's own limits leave out the look-up of the
            name, the wait for a free connection, and an answer that only trickles.
    """

    def __init__(self, *, address: str, role: str, seconds: float, counter: RequestCounter) -> None:
        self.address = address
        self._role = role
        self._seconds = seconds
        self._counter = counter
        self._home = asyncio.get_running_loop()

    async def once(self, operation: str, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Send it a single time.

        Raises:
            StorageRefused: an answer that says no; it may be about one's own earlier try.
            BackendUnavailable: no answer, or a server's fault; it may have been done.
            BackendForbidden: credentials or permission.
        """
        if asyncio.get_running_loop() is not self._home:
            return await self._at_home(self.once(operation, request))
        try:
            async with asyncio.timeout(self._seconds):
                answer = await request()
        except (AzureError, TimeoutError, aiohttp.ClientError, OSError) as error:
            failure = translate(error, operation=operation, address=self.address, role=self._role)
            self._counter.count(operation, result_of(failure))
            raise failure from _without_secrets(error)
        self._counter.count(operation, "ok")
        return answer

    def note_rows(self, operation: str, rows: int) -> None:
        """Count what an answer brought."""
        self._counter.count_rows(operation, rows)

    async def _at_home(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Connections belong to the loop that opened them; others pass their work on to it."""
        if not self._home.is_running():
            work.close()
            raise BackendUnavailable("the event loop that opened the storage has ended")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._home))

    async def reading(self, operation: str, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Send it, and twice more where no answer comes and time is left: only for reads."""
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_AGAIN_WITHIN
        for pause in READ_AGAIN_AFTER:
            try:
                return await self.once(operation, request)
            except BackendUnavailable:
                if loop.time() + pause > until:
                    raise
                await asyncio.sleep(pause)
        return await self.once(operation, request)


def _without_secrets(error: BaseException) -> BaseException | None:
    """A SAS may stand in an address inside the library's error; our message says enough."""
    return None if "sig=" in str(error) else error
