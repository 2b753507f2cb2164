"""Look-ups of names: short, and bounded by job type."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from jobfleet_worker.outbound.refusals import LookupsBusy

NAME_SECONDS = 5.0
"""Looking up one name may take this long; a silent nameserver would take as long as it likes."""
LOOKUPS_PER_TYPE = 256
"""At once, of one job type. A look-up goes on when its call is cut off, so it outlasts calls."""

Found = list[ResolveResult]


class NameNotFound(OSError):
    """The addresses of a name could not be found; it says nothing of the host."""


class NameLookups:
    """Looks names up for all calls of a worker.

    Args:
        source: asks the nameservers.
    """

    def __init__(self, *, source: AbstractResolver) -> None:
        self._source = source
        self._under_way: dict[str, set[asyncio.Task[Found]]] = {}

    async def find(
        self, job_type: str, host: str, port: int, family: socket.AddressFamily
    ) -> Found:
        """Return the addresses of a name; a caller that is cancelled leaves the look-up behind.

        Raises:
            LookupsBusy: this type has its whole share of look-ups under way.
            NameNotFound: the name is not known, or nobody says so in time.
        """
        if len(self._under_way.get(job_type, ())) >= LOOKUPS_PER_TYPE:
            raise LookupsBusy(1, f"{LOOKUPS_PER_TYPE} names are being looked up for {job_type}")
        task = self._start(job_type, self._find(host, port, family))
        return await asyncio.shield(task)

    async def _find(self, host: str, port: int, family: socket.AddressFamily) -> Found:
        try:
            async with asyncio.timeout(NAME_SECONDS):
                return await self._source.resolve(host, port, family)
        except TimeoutError:
            raise NameNotFound(
                f"no nameserver answered for {host} within {NAME_SECONDS:g} s"
            ) from None
        except (OSError, ValueError) as error:
            raise NameNotFound(f"the name {host} was not found: {_reason(error)}") from None

    def _start(self, job_type: str, find: Coroutine[Any, Any, Found]) -> asyncio.Task[Found]:
        tasks = self._under_way.setdefault(job_type, set())

        def ended(task: asyncio.Task[Found]) -> None:
            tasks.discard(task)
            if not task.cancelled():
                task.exception()  # else asyncio complains of one that nobody waits for any more

        task = asyncio.create_task(find, name="name-lookup")
        tasks.add(task)
        task.add_done_callback(ended)
        return task


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
