"""The audit table by Azure's documented rules: rows are inserted where none is, in transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from jobfleet_backends.azure.table_limits import TRANSACTION_ROWS
from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import BackendUnavailable, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.trail.tombstone import is_tombstone
from tests.simulation.invented_release import as_read_by
from tests.simulation.journal import Journal
from tests.simulation.process import Process
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.wire import Wire

LONGEST_PROPERTY = 32_768
"""Characters."""


class TrailTable:
    """All rows; a gap in the sequences is not the table's business.

    Attributes:
        written: ``(simulated second, event)`` in the order of the inserts, the truth of a run.
        removed: what the retention has taken out, by job and sequence.
        erased: rows that an erasure has emptied, as they were.
        writers: which process's insert of an event was carried out, and when, by event id.
        torn: what the checker says of histories in the midst of their removal.
        on_send: told of events that a process is about to send for the first time.
        on_insert: told of a job's newest event and of those that are about to follow it.
    """

    def __init__(self, *, time: VirtualTime, journal: Journal) -> None:
        self.jobs: dict[str, dict[int, Event]] = {}
        self.written: list[tuple[float, Event]] = []
        self.removed: dict[str, dict[int, Event]] = {}
        self.erased: dict[str, dict[int, Event]] = {}
        self.writers: dict[str, tuple[Process, float]] = {}
        self.torn: list[str] = []
        self.on_insert: Callable[[Event, Sequence[Event]], None] | None = None
        self.on_send: Callable[[Sequence[Event]], None] | None = None
        self._known: set[str] = set()
        self._time = time
        self._journal = journal

    def insert(self, events: Sequence[Event]) -> None:
        """Insert all or none."""
        _check_size(events)
        rows = self.jobs.setdefault(events[0].job_id, {})
        if any(event.sequence in rows for event in events):
            raise SequenceTaken(f"job {events[0].job_id} has event {events[0].sequence}")
        if rows and self.on_insert is not None:
            self.on_insert(rows[max(rows)], events)
        for event in events:
            rows[event.sequence] = event
            self.written.append((self._time.now, event))
            self._journal.note("trail", event.status, *_noted(event))

    def sent(self, events: Sequence[Event]) -> None:
        """Look at what a process is about to send; it may have sent the same before."""
        new = [event for event in events if event.event_id not in self._known]
        self._known.update(event.event_id for event in new)
        if new and self.on_send is not None:
            self.on_send(new)

    def sign(self, events: Sequence[Event], process: Process) -> None:
        """Remember who has just inserted these."""
        for event in events:
            self.writers[event.event_id] = process, self._time.now

    def remove(self, job_id: str, sequences: Sequence[int], tombstone: Event | None) -> None:
        """Delete rows that must be there, and put the tombstone in the place of the first."""
        rows = self.jobs[job_id]
        if any(sequence not in rows for sequence in sequences):
            raise BackendUnavailable(f"job {job_id}: ResourceNotFound")
        kept = self.removed.setdefault(job_id, {})
        for sequence in sequences:
            kept[sequence] = rows.pop(sequence)
        if tombstone is not None:
            kept[1], rows[1] = rows[1], tombstone
        self._journal.note("trail", "removed", job_id[-4:], *sequences)
        self.torn += [f"{job_id[-4:]}: {v.message}" for v in verify_job(self.history(job_id))]

    def erase(self, job_id: str, sequences: Sequence[int]) -> None:
        """Empty rows; the judgement keeps them as they were."""
        rows, kept = self.jobs.get(job_id, {}), self.erased.setdefault(job_id, {})
        for sequence in sequences:
            if sequence in rows and not is_tombstone(rows[sequence]):
                kept.setdefault(sequence, rows[sequence])
                rows[sequence] = rows[sequence].without_values()
        self._journal.note("trail", "erased", job_id[-4:], *sequences)
        self.torn += [f"{job_id[-4:]}: {v.message}" for v in verify_job(self.history(job_id))]

    def complete(self, job_id: str) -> list[Event]:
        """Return a job's history as it would stand without retention and erasure."""
        rows = self.jobs.get(job_id, {}) | self.removed.get(job_id, {})
        rows = rows | self.erased.get(job_id, {})
        return [rows[n] for n in sorted(rows) if not is_tombstone(rows[n])]

    def newest(self, job_id: str) -> Event | None:
        """Return the row with the highest sequence."""
        rows = self.jobs.get(job_id)
        return rows[max(rows)] if rows else None

    def history(self, job_id: str) -> list[Event]:
        """Return all rows of a job, oldest first."""
        rows = self.jobs.get(job_id, {})
        return [rows[sequence] for sequence in sorted(rows)]


def _noted(event: Event) -> tuple[object, ...]:
    after = event.after
    return (event.job_id[-4:], event.sequence, f"epoch={after.epoch}", after.state, after.worker_id)


def _about(events: Sequence[Event]) -> str:
    return f"{events[0].job_id[-4:]} {events[0].sequence} {events[-1].status}"


def _check_size(events: Sequence[Event]) -> None:
    if len(events) > TRANSACTION_ROWS or len({event.job_id for event in events}) > 1:
        raise AssertionError("Azure refuses this transaction: too many rows, or several partitions")
    for event in events:
        if len(event.message) > LONGEST_PROPERTY or len(encode(event.data)) > LONGEST_PROPERTY:
            raise AssertionError("Azure refuses this row: a property is too long")


class FakeAuditTrail:
    """The port, as one process uses it."""

    def __init__(self, *, table: TrailTable, wire: Wire) -> None:
        self._table = table
        self._wire = wire

    async def insert(self, events: Sequence[Event]) -> None:
        """Insert consecutive events of one job, all or none."""
        rows = list(events)
        self._table.sent(rows)

        def act() -> None:
            self._table.insert(rows)
            self._table.sign(rows, self._wire.process)

        await self._wire.write("trail.insert", act, about=_about(rows))

    async def newest(self, job_id: str) -> Event | None:
        """Return the job's last event."""
        found = await self._wire.read("trail.newest", lambda: self._table.newest(job_id))
        return self._read(found)

    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event."""
        found = await self._wire.read(
            "trail.read", lambda: self._table.jobs.get(job_id, {}).get(sequence)
        )
        return self._read(found)

    def _read(self, found: Event | None) -> Event | None:
        return None if found is None else as_read_by(self._wire.process, found)

    async def history(
        self, job_id: str, *, after: int = 0, before: int | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """Return events between two sequences, oldest first."""

        def ask() -> list[Event]:
            rows = [
                event
                for event in self._table.history(job_id)
                if event.sequence > after and (before is None or event.sequence < before)
            ]
            return rows[:limit] if before is None else rows[-limit:]

        rows = await self._wire.read("trail.history", ask)
        return [as_read_by(self._wire.process, event) for event in rows]

    async def lifecycle(self, job_id: str, *, last: int, limit: int = 1000) -> Sequence[Event]:
        """Return events that are no steps, oldest first."""

        def ask() -> list[Event]:
            rows = [event for event in self._table.history(job_id) if event.sequence <= last]
            return [event for event in rows if not event.is_step][-limit:]

        rows = await self._wire.read("trail.lifecycle", ask)
        return [as_read_by(self._wire.process, event) for event in rows]

    async def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Yield each job's history."""
        for job_id in sorted(self._table.jobs):
            yield self._table.history(job_id)
