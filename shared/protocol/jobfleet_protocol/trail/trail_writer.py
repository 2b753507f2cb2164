"""The append rule: after any error the outcome is unknown, so look before going on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from jobfleet_contracts.backend import Limits
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail, EventFeed, JobIndex, PayloadStore
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail.large_data import externalise

APPEND_UNCERTAIN = "append.uncertain"
APPEND_FAILED = "append.failed"

Insert = Callable[[Sequence[Event]], Awaitable[None]]
"""Inserts events as ``AuditTrail.insert`` does; an error never means that they do not stand."""

_log = structlog.get_logger()


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

    async def append(
        self, events: Sequence[Event], *, insert: Insert | None = None
    ) -> Event | None:
        """Insert consecutive events of one job.

        Once sent, an append is repeated until the table answers, also when the caller is
        cancelled: the first copy may still land.

        Args:
            events: at most ``limits.transaction_rows`` of the backend.
            insert: in the place of the trail's own. What it raises beside ``BackendError`` ends
                the append, and goes to the caller.

        Returns:
            ``None`` if they are in the trail, else the foreign event that took the place.
        """
        try:
            return await self._until_answered(events, insert)
        except asyncio.CancelledError:
            # Dropped here, a row that lands later would never reach the index and the live views.
            self._go_on_alone(events, insert)
            raise

    def _go_on_alone(self, events: Sequence[Event], insert: Insert | None) -> None:
        """Repeat the append of a caller that has left, until it is known whether the rows stand."""
        name = f"append-{events[0].job_id}"
        task = asyncio.create_task(self._until_answered(events, insert), name=name)
        self._under_way.add(task)
        task.add_done_callback(self._end_alone)

    def _end_alone(self, task: asyncio.Task[Event | None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(APPEND_FAILED, append=task.get_name(), exc_info=error)

    async def settle(self, seconds: float) -> None:
        """Wait for appends whose callers have left, at most ``seconds``."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def _until_answered(self, events: Sequence[Event], insert: Insert | None) -> Event | None:
        rows, insert = list(events), insert or self._trail.insert
        stands = await retry_forever(lambda: self._insert(rows, insert))
        if stands.event_id != rows[0].event_id:
            return stands
        self._copy(rows)
        return None

    async def _insert(self, rows: list[Event], insert: Insert) -> Event:
        """Try once, and return what stands in the place of the first row: it, or another's.

        Large data are stored separately, and the rows in the list replaced.

        Raises:
            BackendError: no event has that sequence yet; insert the identical rows again.
        """
        first = rows[0]
        try:
            # In place, so that the next try inserts these very rows. Rows with new event ids would
            # be a second append, and both could land.
            rows[:] = [await self._row(event) for event in rows]
            await insert(rows)
        except BackendError as error:
            # Even "sequence taken" may be the caller's own first copy, whose answer was lost. Taken
            # for a refusal, a claim that stands would be given up.
            _log.debug(APPEND_UNCERTAIN, job_id=first.job_id, error=str(error))
            found = await self._look(first)
            if found is None:
                raise
            return found
        return first

    async def _row(self, event: Event) -> Event:
        limit = self._limits.inline_bytes
        return await externalise(event, self._payloads, inline_bytes=limit)

    async def _look(self, event: Event) -> Event | None:
        return await retry_forever(lambda: self._trail.read(event.job_id, event.sequence))

    def _copy(self, events: Sequence[Event]) -> None:
        """Hand committed events to the index and to live views; neither decides anything."""
        self._index.record(events)
        self._feed.announce(events)
