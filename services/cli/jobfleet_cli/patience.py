"""Waits through outages: a command does not fail because a server is silent for a while."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail

T = TypeVar("T")

FIRST_SECONDS = 4.0
"""A server that has not answered yet is more likely misnamed than away for a moment."""
OUTAGE_SECONDS = 60.0
"""So long a command waits for a server that answered before; then it exits 3."""
PAUSE_SECONDS = 0.5


class Patience:
    """Repeats what a server did not answer, for a stated time at most.

    Attributes:
        answered: whether the servers have answered this command before.
    """

    def __init__(self) -> None:
        self.answered = False

    @property
    def seconds(self) -> float:
        """How long to wait for an answer from now on."""
        return OUTAGE_SECONDS if self.answered else FIRST_SECONDS

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what ``call`` returns; it must be safe to repeat after an unclear answer.

        Raises:
            BackendUnavailable: no answer for ``seconds``.
        """
        began = time.monotonic()
        while True:
            try:
                answer = await call()
            except BackendUnavailable:
                if time.monotonic() - began > self.seconds:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self.answered = True
                return answer


def patient(backend: Backend, patience: Patience) -> Backend:
    """Return the backend with ports for reading that wait through outages; writes stay as they are.

    A write that is not answered is repeated by the protocol, which reads what became of it.
    """
    return replace(
        backend,
        trail=cast("AuditTrail", _PatientTrail(backend.trail, patience)),
        reader=cast("Any", _PatientPort(backend.reader, patience)),
        directory=cast("Any", _PatientPort(backend.directory, patience)),
        payloads=cast("Any", _PatientPort(backend.payloads, patience)),
        logs=cast("Any", _PatientPort(backend.logs, patience)),
    )


class _PatientPort:
    def __init__(self, port: Any, patience: Patience) -> None:
        self._port = port
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in _READS or not inspect.iscoroutinefunction(method):
            return method

        @wraps(method)
        async def asked(*arguments: Any, **options: Any) -> Any:
            return await self._patience.ask(lambda: method(*arguments, **options))

        return asked


class _PatientTrail(_PatientPort):
    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Go on behind the last history after an outage: they come in the order of job ids."""
        last: str | None = None
        began = time.monotonic()
        while True:
            try:
                async for history in self._port.scan():
                    self._patience.answered, began = True, time.monotonic()
                    if last is None or history[0].job_id > last:
                        last = history[0].job_id
                        yield history
            except BackendUnavailable:
                if time.monotonic() - began > self._patience.seconds:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return


_READS = frozenset(
    {"newest", "read", "history", "get", "workers", "sizes"}
    | {"events", "since", "jobs", "counts", "census", "ended"}
    | {"lock_uses", "lock_waiters", "open_rows"}
)
