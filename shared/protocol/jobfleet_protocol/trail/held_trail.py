"""The trail of a job as the holder of its claim writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jobfleet_contracts.errors import BackendUnavailable, Fenced
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

DecideChanges = Callable[[Event], Sequence[Change]]
"""Returns the changes to write on top of the newest event."""


class HeldTrail:
    """Writes one after the other, under one epoch, until it is closed or fenced.

    Attributes:
        head: the newest event that this holder knows.
        on_moved: called with the newest event if another writer has written.
    """

    def __init__(
        self, *, head: Event, writer: TrailWriter, trail: AuditTrail, clock: Clock
    ) -> None:
        self.head = head
        self.on_moved: Callable[[Event], None] | None = None
        self._epoch = head.after.epoch
        self._worker_id = head.after.worker_id
        self._writer = writer
        self._trail = trail
        self._clock = clock
        self._writing = asyncio.Lock()
        self._closed = False

    @property
    def epoch(self) -> int:
        """The fencing token of this claim."""
        return self._epoch

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be written: ended here, or fenced."""
        return self._closed

    async def write(self, decide: DecideChanges, *, last: bool = False) -> Event:
        """Append what ``decide`` makes of the newest event.

        If another writer wrote beside the holder (a cancel request), it decides anew on that event.

        Args:
            decide: the changes to write, consecutive and in one transaction; none: nothing is to
                be written after this event.
            last: closes the epoch locally first, so that an abandoned thread writes no more.

        Raises:
            Fenced: the claim is over; the handler must stop and nothing more may be written.
            Exception: the backend refused a row for good, and none of them stands. The epoch is
                open as before: write something that the backend can hold.
        """
        async with self._writing:
            if self._closed:
                raise Fenced("the epoch is closed")
            # Before the append: a handler that was left behind in a thread must not write a step
            # while the ending is under way.
            self._closed = last
            try:
                return await self._append(decide)
            except Fenced:
                raise
            except Exception:
                # Left closed, the attempt could not even be recorded as failed. A caller that is
                # cancelled leaves it closed: its rows may still land.
                self._closed = False
                raise

    async def _append(self, decide: DecideChanges) -> Event:
        while True:
            events = self._draft(decide(self.head))
            if not events:
                return self.head
            if await self._writer.append(events) is None:
                self.head = events[-1]
                return self.head
            self.head = await self._revalidate()

    def close(self) -> None:
        """Write nothing more from here on."""
        self._closed = True

    def _draft(self, changes: Sequence[Change]) -> list[Event]:
        events: list[Event] = []
        for change in changes:
            previous = events[-1] if events else self.head
            events.append(draft(previous, self.head.facts, change, occurred_at=self._clock.now()))
        return events

    async def _revalidate(self) -> Event:
        newest = await self.look()
        held = self.holds(newest)
        self._closed = self._closed or not held
        if self.on_moved is not None:
            self.on_moved(newest)
        if not held:
            raise Fenced(
                f"job {newest.job_id} is {newest.after.state.value} in epoch "
                f"{newest.after.epoch}; this worker holds epoch {self._epoch}"
            )
        return newest

    def holds(self, newest: Event) -> bool:
        """Whether ``newest`` still shows this claim. After what is not known nothing may follow."""
        after = newest.after
        mine = after.epoch == self._epoch and after.worker_id == self._worker_id
        return mine and newest.is_readable and after.state in (State.RUNNING, State.WAITING)

    async def look(self) -> Event:
        """Return the job's newest event, however long storage takes to answer."""
        return await retry_forever(self._newest)

    async def _newest(self) -> Event:
        newest = await self._trail.newest(self.head.job_id)
        if newest is None:
            raise BackendUnavailable(f"the trail shows nothing of job {self.head.job_id}")
        return newest
