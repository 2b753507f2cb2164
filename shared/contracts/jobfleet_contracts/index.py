"""Rows and questions of the index, the rebuildable copy of the trail."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from jobfleet_contracts.codec import encode_text, format_optional_time, format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.error_group import dead_group_of
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.job_locks import NO_LOCKS, JobLocks, locks_after
from jobfleet_contracts.lookup_keys import keys_in
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import STEP, State

T = TypeVar("T")

_ID_TAIL = re.compile(r"[0-9a-f]{8}")

_UNKNOWN = datetime.fromtimestamp(0, UTC)

COUNTED_WAITERS = 1_000
"""Jobs that wait for one lock key are counted up to here."""

MAX_COPIED_CHARACTERS = 4_000


def copied_data(data: str) -> str:
    """Return an event's encoded data as the timeline holds them.

    Data of more than 4,000 characters are left out: the job's own history has them, and a page of
    1,000 events stays small.
    """
    if len(data) <= MAX_COPIED_CHARACTERS:
        return data
    return encode_text({"omittedCharacters": len(data)})


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One job and incarnation that has not ended; every field but the key is a hint.

    Attributes:
        sequence: newest event that the writer of this row knew; 0 before the opening event.
        published: sequence for which a message was confirmed last; 0 for none.
        opened_at: when the row was inserted, before the event that opens the incarnation.
    """

    facts: JobFacts
    incarnation: int
    state: State
    sequence: int
    opened_at: datetime
    updated_at: datetime
    lock: str | None = None
    due_at: datetime | None = None
    sent: bool = False
    published: int = 0

    @property
    def is_confirmed(self) -> bool:
        """Whether the event that the row announces is known to stand.

        Before that it is not a job: the writer of the row may have died before the event.
        """
        return self.sequence > 0 or self.published > 0


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job with its current state as the index knows it, for lists.

    Attributes:
        duration_ms: how long what the newest event ended took: an attempt, or the wait for a start.
        step, steps: number of the newest step, and of how many, where the newest event tells.
        locks: what it holds while it runs, or waits for.
    """

    facts: JobFacts
    state: State
    status: str
    sequence: int
    attempt: int
    max_attempts: int
    incarnation: int
    epoch: int
    worker_id: str | None
    message: str
    updated_at: datetime
    due_at: datetime | None = None
    dismissed: bool = False
    duration_ms: int | None = None
    step: int | None = None
    steps: int | None = None
    locks: JobLocks = NO_LOCKS

    @classmethod
    def of(cls, event: Event) -> JobRow:
        """Return the row of a job whose newest event this is."""
        after = event.after
        return cls(
            facts=event.facts,
            state=after.state,
            status=event.status,
            sequence=after.sequence,
            attempt=after.attempt,
            max_attempts=after.max_attempts,
            incarnation=after.incarnation,
            epoch=after.epoch,
            worker_id=after.worker_id,
            message=event.message,
            updated_at=event.occurred_at,
            due_at=after.due_at,
            dismissed=after.dismissed,
            duration_ms=event.duration_ms,
            step=event.step,
            steps=event.steps,
            locks=locks_after(event),
        )

    @classmethod
    def unreadable(cls, job_id: str, reason: str) -> JobRow:
        """Stand in for a row that cannot be read."""
        return cls.of(Event.unreadable(job_id, 0, reason))

    def to_json(self) -> dict[str, Any]:
        """Return the row as REST API and command line show it."""
        return {
            "jobId": self.facts.job_id,
            "jobName": self.facts.job_name,
            "type": self.facts.job_type,
            "state": self.state.value,
            "status": self.status,
            "queue": self.facts.queue,
            "priority": self.facts.priority,
            "lockKey": self.facts.lock_key,
            "lockSlots": self.facts.lock_slots,
            **self.locks.to_json(),
            "sequence": self.sequence,
            "attempt": self.attempt,
            "attempts": self.attempt,
            "maxAttempts": self.max_attempts,
            "epoch": self.epoch,
            "workerId": self.worker_id,
            "message": masked_text(self.message),
            "createdAt": format_time(self.facts.created_at),
            "updatedAt": format_time(self.updated_at),
            "dueAt": format_optional_time(self.due_at),
            "dismissed": self.dismissed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Filter over the timeline, newest first.

    Attributes:
        statuses: the event has one of them; ``Step`` stands for every step.
        job_type: in any case.
        since: inclusive; ``until`` exclusive.
        states: the job's state after the event.
        tests: further conditions, tested row by row. ``worker`` is who wrote the event. Readers
            know no ``error``: ``find_events`` of the protocol tests it on what is shown.
        nothing: conditions exclude each other; no event fits.
    """

    statuses: frozenset[str] = frozenset()
    job_type: str | None = None
    job_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: frozenset[State] = frozenset()
    tests: tuple[RowTest, ...] = ()
    nothing: bool = False
    limit: int = 200
    cursor: str | None = None

    def fits(self, event: Event) -> bool:
        """Whether an event has all that is asked for, but for the range of time."""
        row = replace(JobRow.of(event), worker_id=event.worker_id)
        job_type, status = self.job_type, event.status
        return (
            not self.nothing
            and (not self.statuses or status in self.statuses or _step_of(status) in self.statuses)
            and (job_type is None or job_type.casefold() == event.facts.job_type.casefold())
            and self.job_name in (None, event.facts.job_name)
            and (not self.states or event.after.state in self.states)
            and all(test.lets_through(row) for test in self.tests)
        )


def _step_of(status: str) -> str:
    return STEP if status.startswith("Step ") else status


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Filter over jobs, last changed first.

    Attributes:
        dead: only those on the dead-letter list: failed or timed out, and not dismissed.
        error_group: id of an error group; only dead jobs whose last failure belongs to it.
        job_type: in any case.
        tests: further conditions, tested row by row.
        keys: normalised values by the names of lookup keys, as ``payload.customer`` or
            ``schedule``. With them jobs come in the order in which they were made, newest first.
        nothing: conditions exclude each other; no job fits.
    """

    states: frozenset[State] = frozenset()
    job_type: str | None = None
    queue: str | None = None
    text: str | None = None
    lock_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    dead: bool = False
    error_group: str | None = None
    tests: tuple[RowTest, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    nothing: bool = False
    limit: int = 50
    cursor: str | None = None

    def fits(self, row: JobRow, *, text: str | None) -> bool:
        """Whether a row has all that a row can show; of ``error_group`` it shows nothing.

        Args:
            text: the text to look for, ``None`` if it was an id that is known to fit.
        """
        facts, job_type = row.facts, self.job_type
        return (
            not self.nothing
            and (not self.states or row.state in self.states)
            and not (self.dead and row.dismissed)
            and (job_type is None or job_type.casefold() == facts.job_type.casefold())
            and self.queue in (None, facts.queue)
            and self.lock_key in (None, facts.lock_key)
            and (self.since is None or row.updated_at >= self.since)
            and (self.until is None or row.updated_at < self.until)
            and (text is None or RowTest("text", text.casefold()).lets_through(row))
            and all(test.lets_through(row) for test in self.tests)
        )

    @property
    def id_tail(self) -> str | None:
        """The text, if it can be the last eight characters of an id, as lists show them."""
        return id_tail(self.text)


def id_tail(text: str | None) -> str | None:
    """Return the text in lower case, if it can be the last eight characters of a job id."""
    tail = (text or "").casefold()
    return tail if _ID_TAIL.fullmatch(tail) else None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items and the cursor of the next page, ``None`` at the end.

    Attributes:
        searched_back_to: where a bounded search stopped; ``None`` if it saw everything.
    """

    items: Sequence[T]
    next: str | None = None
    searched_back_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """Every job there is, counted.

    Attributes:
        counts: jobs per state: open ones exactly, ended ones of the last day at least.
        longest_queued: the queued job of each queue that was opened first.
        queued: how many jobs are queued in each queue that has one.
    """

    counts: Mapping[State, int]
    longest_queued: Mapping[str, OpenRow]
    queued: Mapping[str, int] = field(default_factory=dict)


TimeStep = Literal["minute", "hour"]


@dataclass(frozen=True, slots=True)
class EndedCount:
    """Jobs that ended in one state within one step of time.

    Attributes:
        start: beginning of the minute or hour.
        jobs: endings; a job that was redriven counts with each of its own.
        timed: how many of them ended an attempt; ``duration_ms`` is the sum of those.
    """

    start: datetime
    state: State
    jobs: int
    timed: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class LockUse:
    """A lock key that open jobs name, and its number of slots.

    Attributes:
        slots: how many jobs may run under it at once.
        holders: the jobs that run under it.
        waiting: how many claimable jobs name it, counted up to ``COUNTED_WAITERS``.
        waiters: the first of these, longest waiting first.
    """

    lock_key: str
    slots: int
    holders: Sequence[OpenRow]
    waiting: int
    waiters: Sequence[OpenRow]


@dataclass(frozen=True, slots=True)
class IndexedEvent:
    """Place of one event in the index; enough to find its copies there.

    Attributes:
        error_group: in which it stands, if it is a failure that ended its job.
        keys: by which the job is looked up, and when the job was made.
    """

    job_id: str
    sequence: int
    occurred_at: datetime
    error_group: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None

    @classmethod
    def of(cls, event: Event) -> IndexedEvent:
        """Return the place of an event with all that the index made of it."""
        return cls(
            event.job_id,
            event.sequence,
            event.occurred_at,
            dead_group_of(event),
            keys_in(event),
            event.facts.created_at,
        )


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages ready in one lane (``high``, ``normal`` or ``low``) of a queue."""

    queue: str
    lane: str
    ready: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A malformed message, kept whole. Dead jobs are found in the index by their state.

    Attributes:
        letter_id: UUIDv7, sorts by time.
        body: the message as it came, cut at 32,000 characters; undecodable bytes are replaced.
    """

    letter_id: str
    received_at: datetime
    reason: str
    body: str
    size: int
    message_id: str | None = None

    @classmethod
    def unreadable(cls, letter_id: str, reason: str) -> DeadLetter:
        """Stand in for a row that cannot be read."""
        return cls(letter_id, _UNKNOWN, f"this row cannot be read: {reason}", "", 0)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An event and its cursor for live views."""

    event: Event
    cursor: str
