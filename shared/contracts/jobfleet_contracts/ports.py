"""What the protocol and the services ask of a backend, with the guarantees they rest on.

Every method may raise :class:`~jobfleet_contracts.errors.BackendUnavailable`, which says nothing
of whether the operation took effect, and
:class:`~jobfleet_contracts.errors.BackendForbidden`, which names what permission is missing.
All methods are safe to call from any event loop, several at once. Lock names, job ids and cursors
are plain ASCII; times are aware UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from jobfleet_contracts.error_group import ErrorSummary
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import (
    Census,
    DeadLetter,
    EndedCount,
    EventQuery,
    JobQuery,
    JobRow,
    LockUse,
    OpenRow,
    Page,
    QueueDepth,
    TimelineEntry,
    TimeStep,
)
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.run_times import RunTimes
from jobfleet_contracts.state import State


class Clock(Protocol):
    """Time, injected so that tests and the simulation own it."""

    def now(self) -> datetime:
        """Return wall time in UTC. It follows the system clock and never falls."""
        ...

    def boottime(self) -> float:
        """Return seconds on a clock that only moves forward, also while the machine sleeps."""
        ...


class AuditTrail(Protocol):
    """The append-only log of each job; inserting is the compare-and-swap."""

    async def insert(self, events: Sequence[Event]) -> None:
        """Insert consecutive events of one job, all or none, durable when this returns.

        Raises:
            SequenceTaken: a row with one of these sequences stands. It may be one's own.
        """
        ...

    async def newest(self, job_id: str) -> Event | None:
        """Return the job's last event; strongly consistent, one request for one row."""
        ...

    async def read(self, job_id: str, sequence: int) -> Event | None:
        """Return one event, ``None`` if it has not been written; strongly consistent."""
        ...

    async def history(
        self, job_id: str, *, after: int = 0, before: int | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """Return up to ``limit`` events with ``after < sequence < before``, oldest first.

        With ``before`` the newest ones of that range are chosen, else the oldest.
        """
        ...

    async def lifecycle(self, job_id: str, *, last: int, limit: int = 1000) -> Sequence[Event]:
        """Return up to ``limit`` events that are not steps, the newest ones, oldest first.

        Cost depends on how many are returned, not on the steps between them. A backend may return
        fewer than ``limit``: ask again with ``lifecycle_before`` of the first one, which is 0 if
        no older one exists. Empty for an unknown job.

        Args:
            last: sequence of the lifecycle event that comes last.
        """
        ...

    def scan(self) -> AsyncIterator[Sequence[Event]]:
        """Yield each job's complete history, oldest first; memory holds one job at a time."""
        ...


class LeaseStore(Protocol):
    """Leases on named locks. A lease keeps workers from wasting work; it is not the fence."""

    async def create(self, lock: str) -> None:
        """Create the lock if it is not there; never touches one that is."""
        ...

    async def acquire(
        self, lock: str, lease_id: str, seconds: float, *, create: bool = False
    ) -> None:
        """Lease the lock. Repeating it with the same id is the same acquire, and renews it.

        Args:
            create: create the lock if it is missing. After an error it may be there.

        Raises:
            LeaseConflict: another lease id holds it.
            LockMissing: it was never created or has been deleted.
        """
        ...

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        """Start the lease's time anew.

        Raises:
            LeaseConflict: another id leased it since, or it was released.
            LockMissing: the lock is gone.
        """
        ...

    async def release(self, lock: str, lease_id: str) -> None:
        """Give the lease up. Do nothing if it is not held any more (a lost reply looks so)."""
        ...

    async def delete(self, lock: str, lease_id: str) -> None:
        """Release and remove the lock in one request. Do nothing if that was done before."""
        ...

    async def is_leased(self, lock: str) -> bool:
        """Whether the lock is leased now; ``False`` if it is missing."""
        ...


class LockRecords(Protocol):
    """Facts kept with a lock, and the list of live leases."""

    async def read_note(self, lock: str) -> Mapping[str, str]:
        """Return the lock's note, empty if none.

        Raises:
            LockMissing: the lock does not exist.
        """
        ...

    async def write_note(
        self,
        lock: str,
        lease_id: str,
        note: Mapping[str, str],
        *,
        replacing: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the note under the lease.

        Args:
            replacing: the note as it was read. A copy of this write that comes late, after a newer
                note under the same lease, is refused then. ``None``: any note.

        Raises:
            LeaseConflict: the lease id does not hold the lock, or the lock has another note (Azure:
                412). It may be one's own from an earlier try.
        """
        ...

    async def leased(self, prefix: str = "") -> frozenset[str]:
        """Return the names of locks that are leased now (5,000 a request on Azure).

        Args:
            prefix: what the names begin with.
        """
        ...

    async def remove_idle(self, prefix: str, *, before: datetime) -> int:
        """Remove locks that are not leased and were last leased or changed before ``before``.

        A lock that is leased stays, however old it is: also one that is leased in this moment.
        A backend that does not store the end of a lease uses the last change of the lock.

        Args:
            prefix: what the names begin with.

        Returns:
            How many were removed.
        """
        ...


class RenewalLeases(Protocol):
    """Leases and notes as the renewal thread uses them, on connections of its own."""

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        """As :meth:`LeaseStore.renew`."""
        ...

    async def write_note(self, lock: str, lease_id: str, note: Mapping[str, str]) -> None:
        """As :meth:`LockRecords.write_note`."""
        ...


class JobQueue(Protocol):
    """The way into the work queues."""

    async def publish(self, message: JobMessage, *, timeout: float = 3.0) -> None:
        """Put a message into its lane; returns when the broker has confirmed it as durable.

        Raises:
            BackendUnavailable: not confirmed within ``timeout`` seconds; it may be there.
        """
        ...

    async def publish_later(self, message: JobMessage, delay: timedelta) -> None:
        """Like ``publish``, into the largest delay step that fits; ``due_at`` is kept."""
        ...

    async def depths(self) -> Sequence[QueueDepth]:
        """Return how many messages are ready in each lane of each known queue."""
        ...


class Delivery(Protocol):
    """A message handed to this worker, until it is acknowledged or the worker is gone."""

    @property
    def message(self) -> JobMessage | MalformedMessage:
        """What came; malformed after ``DELIVERY_LIMIT`` unanswered deliveries."""
        ...

    @property
    def lost_workers(self) -> int:
        """How many workers were lost while they held the message.

        0 where the backend cannot tell a lost worker from a lost connection.
        """
        ...

    async def ack(self) -> None:
        """Take it off the queue. Do nothing if the channel is gone: it will come again."""
        ...

    async def requeue(self) -> None:
        """Put it back into the queue at once, for any worker; no limit of deliveries counts it.

        Quiet where the channel is gone: then it goes back by itself. It may come to this worker
        again, so requeue only what this worker will not ask for again at once.

        Raises:
            BackendUnavailable: not confirmed; the message is still held, or there are two of it.
        """
        ...


class JobConsumer(Protocol):
    """Deliveries for one worker, never more than it can start."""

    async def start(self, queues: Sequence[str]) -> None:
        """Declare and open the queues; recovers by itself afterwards."""
        ...

    def leave_out(self, queues: frozenset[str]) -> None:
        """Consume none of these queues until the next call; all others that were started.

        What came from them before may still be received. A receive that waits heeds it too.
        """
        ...

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Return 1 to ``limit`` deliveries, high lane first, or none after ``wait``.

        ``limit`` is the number of free slots: what comes beyond it goes back to the queue.
        """
        ...

    async def stop(self) -> None:
        """Take nothing more; unacknowledged deliveries go back to the queue."""
        ...


class JobIndex(Protocol):
    """Writer of the copy. Written behind the trail in shared batches; never decides anything."""

    async def open(self, row: OpenRow) -> None:
        """Insert an open row; durable when this returns. Do nothing if it is there.

        A row whose event has not come yet then counts as opened now: see ``discard``.
        """
        ...

    def record(self, events: Sequence[Event]) -> Awaitable[None]:
        """Queue timeline rows and the open row's hints; await it to know that they are stored.

        The hints never go back: an older sequence does not replace a newer one. A terminal
        event updates no open row: ``close`` removes it.
        """
        ...

    def published(self, job_id: str, incarnation: int, sequence: int) -> Awaitable[None]:
        """Mark that a message for ``sequence`` was confirmed; merged alone."""
        ...

    def close(self, job_id: str, incarnation: int) -> Awaitable[None]:
        """Remove the open row of this incarnation, after its terminal event. Do nothing if gone."""
        ...

    async def discard(self, row: OpenRow) -> None:
        """Remove a row whose event never came, unless it was changed since it was read.

        Do nothing if it is gone or was changed.
        """
        ...

    async def trim(self, *, before: datetime) -> None:
        """Forget error groups and run times counted before ``before``; a bounded part a call.

        ``JobIndexReader.errors`` is asked for seven days at most and ``run_times`` for one, so
        older counts are not read.
        """
        ...

    async def begin_rebuild(self, *, now: datetime) -> None:
        """Prepare this writer for a rebuild: the caller next records all stored histories again.

        An event that is recorded again still counts once. Close the writer after the rebuild: it
        may leave later events out of the counts.
        """
        ...

    async def flush(self) -> None:
        """Wait until everything queued is stored."""
        ...


class JobIndexReader(Protocol):
    """Questions to the copy; cost depends on the page, not on what is stored."""

    async def events(self, query: EventQuery) -> Page[Event]:
        """Return a page of the timeline, newest first.

        Conditions that no index answers are tested over a bounded number of events; the page then
        says how far back it has looked.
        """
        ...

    async def since(self, cursor: str | None, limit: int = 500) -> Sequence[TimelineEntry]:
        """Return events after a live cursor, oldest first; ``None``: only the newest one."""
        ...

    async def jobs(self, query: JobQuery) -> Page[JobRow]:
        """Return a page of jobs, last changed first."""
        ...

    async def counts(self) -> Mapping[State, int]:
        """Return jobs per state: open ones exactly, ended ones of the last day at least."""
        ...

    async def census(self) -> Census:
        """Return the same counts, and who has been queued longest."""
        ...

    async def ended(
        self, *, since: datetime, step: TimeStep, until: datetime | None = None
    ) -> Sequence[EndedCount]:
        """Return what ended in each step of time, from the one in which ``since`` lies.

        The last one is that before ``until``, or the newest.

        Exact but for what the index lacks. Cost depends on the number of steps; on Azure also on
        the number of processes that wrote endings in them.
        """
        ...

    async def errors(self, *, since: datetime, step: TimeStep) -> ErrorSummary:
        """Return the failures since ``since`` by their groups, counted in steps of time.

        Exact but for what the index lacks, and for groups beyond 200 of one writer and hour, which
        count as ``OTHER``. Cost depends on groups, hours and processes, never on the failures.
        """
        ...

    async def run_times(self, *, since: datetime) -> RunTimes:
        """Return how long attempts of each type waited and ran, in steps of ten minutes.

        It begins with the step in which ``since`` lies. Exact but for the width of the buckets,
        what the index lacks, and types beyond 50 of one writer and step, which count as
        ``OTHER_TYPES``. Beside them it returns the 20 slowest attempts of each hour.
        Cost depends on types, steps and processes, never on the jobs.
        """
        ...

    async def lock_uses(self, *, limit: int = 100, waiters: int = 10) -> Sequence[LockUse]:
        """Return lock keys that open jobs name, held ones first, each with its first waiters.

        A key that is named with several numbers of slots comes once for each.
        """
        ...

    async def open_rows(
        self,
        *,
        states: frozenset[State] | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[OpenRow]:
        """Return all open rows in a stable order of their own, unconfirmed ones too.

        Everything else here leaves those out: a row without its event is not a job.
        """
        ...

    async def lock_waiters(
        self, lock_key: str, *, slots: int = 1, limit: int = 10
    ) -> Sequence[OpenRow]:
        """Return open, claimable jobs of this lock key and slots, longest waiting first."""
        ...

    async def lock_slots(self, lock_key: str) -> frozenset[int]:
        """Return the numbers of slots that open jobs name with this lock key."""
        ...


class EventFeed(Protocol):
    """Committed events for live views elsewhere; best effort."""

    def announce(self, events: Sequence[Event]) -> None:
        """Publish without waiting. Dropped while the broker is away."""
        ...


class PayloadStore(Protocol):
    """Values too large for a row. Names carry job, epoch and event id: written once."""

    async def put(self, name: str, body: bytes) -> None:
        """Store it; a repeat with the same name and body is harmless."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return it, ``None`` if missing."""
        ...

    async def delete_job(self, job_id: str) -> None:
        """Remove all values of a job."""
        ...


class DeadLetterStore(Protocol):
    """Malformed messages, whole, with the reason."""

    async def add(self, letter: MalformedMessage, received_at: datetime) -> None:
        """Keep it in the table and in the broker's dead-letter queue; durable on return."""
        ...

    async def letters(self, *, cursor: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return malformed messages, newest first."""
        ...

    async def remove(self, letter_id: str) -> None:
        """Forget one. Do nothing if gone."""
        ...
