"""One set of adapters, as every service receives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from jobfleet_contracts.control_ports import ControlChannel, ControlLog
from jobfleet_contracts.fleet_ports import RateStore, WorkerDirectory
from jobfleet_contracts.group_marks import GroupMarks
from jobfleet_contracts.job_claims import JobClaims
from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.ports import (
    AuditTrail,
    DeadLetterStore,
    EventFeed,
    JobConsumer,
    JobIndex,
    JobIndexReader,
    JobQueue,
    LeaseStore,
    LockRecords,
    PayloadStore,
    RenewalLeases,
)
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_contracts.trail_retention import TrailRetention
from jobfleet_contracts.transaction import JobOpenings, UserTransactions
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether one part of a backend can be reached and used.

    Attributes:
        part: ``storage``, ``broker``, ``database`` …
        address: where, without secrets.
        remedy: what to do if it is not ``ok``.
    """

    part: str
    address: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    lasting: bool = False
    """It will not pass by itself, as a full disk: waiting is in vain."""


AskServers = Callable[[], Awaitable[Sequence[Probe]]]
"""Asks each server of a backend whether it can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a backend's trail takes.

    Attributes:
        inline_bytes: encoded event data above it lie in the payload store, not in the row.
        transaction_rows: most events that one insert takes.
    """

    inline_bytes: int
    transaction_rows: int


MOST_CLOCK_OFFSET = 2.0
"""Seconds that a process's clock may differ from the storage's. Beyond it, it fires no schedule."""


def _no_offset() -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """All ports of one backend, wired by ``jobfleet_backends.open_backend``.

    Attributes:
        name: ``embedded``, ``azure`` or ``postgres``.
        limits: what its trail takes.
        consumer: makes the consumer of one worker.
        renewal_leases: makes a lease store for the renewal thread: its own connections, short
            timeouts (1 s connect, 3 s read), no retries. Call it and close it in that thread.
        probe: asks each server, at most 5 s.
        close: flushes the index and closes connections; safe to call twice.
        retention: removes histories; ``None`` if nothing can be removed.
        requests: counts what was sent to the storage; ``None`` if that is not a server.
        clock_offset: seconds by which this machine's clock is ahead of the storage's, negative if
            behind, as its last answers showed; 0 where storage has no clock of its own.
        openings: makes jobs exist in one transaction; ``None`` if the trail, the index and the
            queue share none: then in three steps.
        claims: leases a job's lock and writes ``Started`` in one transaction; ``None`` if leases
            and trail share none: then one after the other.
        coder: encodes the values of jobs before they are stored, if the process has a codec.
        transactions: submits inside a user's own transaction; ``None`` if storage has none.
    """

    name: str
    limits: Limits
    trail: AuditTrail
    leases: LeaseStore
    locks: LockRecords
    queue: JobQueue
    index: JobIndex
    reader: JobIndexReader
    directory: WorkerDirectory
    control: ControlChannel
    control_log: ControlLog
    rates: RateStore
    marks: GroupMarks
    feed: EventFeed
    payloads: PayloadStore
    logs: JobLogs
    dead_letters: DeadLetterStore
    consumer: Callable[[], JobConsumer]
    renewal_leases: Callable[[], tuple[RenewalLeases, Callable[[], Awaitable[None]]]]
    probe: AskServers
    close: Callable[[], Awaitable[None]]
    retention: TrailRetention | None = None
    requests: RequestCounter | None = None
    clock_offset: Callable[[], float] = _no_offset
    openings: JobOpenings | None = None
    claims: JobClaims | None = None
    transactions: UserTransactions | None = None
    coder: ValueCoder = NO_CODER
