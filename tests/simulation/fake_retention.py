"""The removal of old histories by Azure's rules: in transactions, late or twice as any other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, Page
from tests.simulation.fake_index import IndexTable
from tests.simulation.fake_trail import TrailTable
from tests.simulation.wire import Wire

ROWS_A_TRANSACTION = 4
"""Azure takes a hundred; so few let short histories go in several steps, as long ones do."""


class FakeTrailRetention:
    """The port, as one process uses it; it works as the adapter does."""

    def __init__(self, *, trail: TrailTable, index: IndexTable, wire: Wire) -> None:
        self._trail = trail
        self._index = index
        self._wire = wire

    async def ended_before(
        self, moment: datetime, *, cursor: str | None = None, limit: int = 100
    ) -> Page[IndexedEvent]:
        """Return endings from before a moment, by job; the cursor is the last one's key."""

        def ask() -> Page[IndexedEvent]:
            keys = [
                (job_id, sequence)
                for (job_id, sequence), event in sorted(self._index.timeline.items())
                if event.after.state.is_terminal and event.occurred_at < moment
                if cursor is None or f"{job_id}~{sequence:04}" > cursor
            ]
            found = [
                IndexedEvent(*key, self._index.timeline[key].occurred_at) for key in keys[:limit]
            ]
            more = f"{keys[limit - 1][0]}~{keys[limit - 1][1]:04}" if len(keys) > limit else None
            return Page(found, more)

        return await self._wire.read("retention.search", ask)

    async def forget(self, tombstone: Event, *, last: int) -> None:
        """Remove the rows, older ones first; the newest goes with the coming of the tombstone."""
        job_id = tombstone.job_id
        rows = await self._wire.read(
            "retention.read", lambda: sorted(self._trail.jobs.get(job_id, {}))
        )
        if not rows or rows[-1] != last:
            raise SequenceTaken(f"job {job_id} has gone on: event {last} is not its newest")
        between = [sequence for sequence in rows if sequence not in (1, last)]
        while len(between) > ROWS_A_TRANSACTION - 2:
            batch, between = between[:ROWS_A_TRANSACTION], between[ROWS_A_TRANSACTION:]
            await self._transact(job_id, batch, None)
        await self._transact(job_id, [*between, last], tombstone)

    async def unlist(self, events: Sequence[IndexedEvent]) -> None:
        """Remove places of the timeline."""
        keys = [(event.job_id, event.sequence) for event in events]
        if keys:
            await self._wire.write(
                "retention.unlist", lambda: self._index.unlist(keys), about=keys[0][0][-4:]
            )

    async def erase(self, job_id: str, *, last: int) -> None:
        """Empty the rows, newer ones first, in several steps."""
        for end in range(last, 0, -ROWS_A_TRANSACTION):
            rows = range(max(end - ROWS_A_TRANSACTION, 0) + 1, end + 1)
            await self._wire.write(
                "retention.erase", partial(self._trail.erase, job_id, rows), about=job_id[-4:]
            )

    async def check_rights(self) -> None:
        """Every process of a run has them."""

    async def _transact(self, job_id: str, batch: list[int], stone: Event | None) -> None:
        await self._wire.write(
            "retention.forget", lambda: self._trail.remove(job_id, batch, stone), about=job_id[-4:]
        )
