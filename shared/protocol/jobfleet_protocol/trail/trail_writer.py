"""The append rule: after any error the outcome is unknown, so look before going on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import structlog

from jobfleet_contracts.backend import Limits
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail, EventFeed, JobIndex, PayloadStore
from jobfleet_protocol.trail.large_data import externalise

APPEND_UNCERTAIN = "append.uncertain"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0

_log = structlog.get_logger()


def pauses() -> Iterator[float]:
    """Yield seconds to wait between tries, doubling from 50 ms to 5 s, without end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)


class TrailWriter:
    """Appends events; whatever happens on the way, it ends up knowing whether they stand.

    A service has one: at its end :meth:`settle` must wait for every append under way.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        feed: EventFeed,
        payloads: PayloadStore,
        limits: Limits,
    ) -> None:
        self._trail = trail
        self._index = index
        self._feed = feed
        self._payloads = payloads
        self._limits = limits
        self._under_way: set[asyncio.Task[Event | None]] = set()

    async def append(self, events: Sequence[Event]) -> Event | None:
        """Insert consecutive events of one job.

        Once sent, an append is repeated until the table answers, also when the caller is
        cancelled: the first copy may still land.

        Args:
            events: at most ``limits.transaction_rows`` of the backend.

        Returns:
            ``None`` if they stand in the trail, else the foreign event that took the place.
        """
        try:
            return await self._until_answered(events)
        except asyncio.CancelledError:
            self._go_on_alone(events)
            raise

    def _go_on_alone(self, events: Sequence[Event]) -> None:
        """The caller has left: send the identical rows again until it is known that they stand."""
        task = asyncio.create_task(self._until_answered(events), name=f"append-{events[0].job_id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def settle(self, seconds: float) -> None:
        """Wait for appends whose callers have left, at most ``seconds``."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def _until_answered(self, events: Sequence[Event]) -> Event | None:
        first = events[0]
        for pause in pauses():
            try:
                events = [await self._row(event) for event in events]
                await self._trail.insert(events)
            except BackendError as error:
                _log.debug(APPEND_UNCERTAIN, job_id=first.job_id, error=str(error))
            else:
                self._copy(events)
                return None
            found = await self._look(first)
            if found is None:
                await asyncio.sleep(pause)
                continue
            if found.event_id != first.event_id:
                return found
            self._copy(events)
            return None
        raise AssertionError("pauses never end")

    async def _row(self, event: Event) -> Event:
        limit = self._limits.inline_bytes
        return await externalise(event, self._payloads, inline_bytes=limit)

    async def _look(self, event: Event) -> Event | None:
        for pause in pauses():
            try:
                return await self._trail.read(event.job_id, event.sequence)
            except BackendError:
                await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    def _copy(self, events: Sequence[Event]) -> None:
        """Hand committed events to the index and to live views; neither decides anything."""
        self._index.record(events)
        self._feed.announce(events)
