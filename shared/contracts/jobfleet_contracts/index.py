"""Rows and questions of the index, the rebuildable copy of the trail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.state import State

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job with its current state as the index knows it, for lists."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Filter over the timeline, newest first.

    Attributes:
        text: matches job id (exactly), or part of job name or lock key, any case.
        since: inclusive; ``until`` exclusive.
    """

    status: str | None = None
    job_type: str | None = None
    job_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 200
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Filter over jobs, last changed first."""

    states: frozenset[State] = frozenset()
    job_type: str | None = None
    queue: str | None = None
    text: str | None = None
    lock_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    cursor: str | None = None


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
class IndexedEvent:
    """Place of one event in the index; enough to find its copy there."""

    job_id: str
    sequence: int
    occurred_at: datetime


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


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An event and its cursor for live views."""

    event: Event
    cursor: str
