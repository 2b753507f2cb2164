"""Histories of one job, built the way its writers build them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobfleet_contracts.event import UNREADABLE, Event, JobFacts
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import job_lock, key_lock
from jobfleet_contracts.state import State, Status, step_of
from jobfleet_protocol.trail.chain import chained
from jobfleet_protocol.trail.transitions import Change, draft

SECOND = timedelta(seconds=1)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
_ROW = {
    "status": "status",
    "event_id": "event_id",
    "occurred_at": "occurred_at",
    "writer": "worker_id",
}
"""Columns of the row itself; the others are the job's state after it."""


def rechained(events: Sequence[Event]) -> list[Event]:
    """Give rows the hashes that they would have if their writer had written them so."""
    chain: list[Event] = []
    for event in events:
        previous = chain[-1] if chain else None
        readable = event.status != UNREADABLE
        chain.append(chained(previous, event) if readable else event)
    return chain


class Life:
    """One job's events so far; each verb appends what a real writer would append."""

    def __init__(self, *, lock_key: str | None = None, max_attempts: int = 3) -> None:
        self.facts = JobFacts(new_id(), "a name", "demo", "default", 5, lock_key, NOON)
        self.events: list[Event] = []
        self.now = NOON
        self.turn = 0
        self._max_attempts = max_attempts

    @property
    def head(self) -> Event:
        return self.events[-1]

    @property
    def holder(self) -> str | None:
        return self.head.after.worker_id

    def together(self, *changes: Change) -> Life:
        """Append all of them, or none where one is illegal."""
        drafted: list[Event] = []
        for change in changes:
            previous = drafted[-1] if drafted else self.events[-1] if self.events else None
            drafted.append(draft(previous, self.facts, change, occurred_at=self.now + SECOND))
        self.events += drafted
        self.now += SECOND
        return self

    def then(self, status: str, **change: Any) -> Life:
        return self.together(Change(kind=Status.of(status), step=step_of(status), **change))

    def queued(self) -> Life:
        return self.then("Queued", max_attempts=self._max_attempts)

    def scheduled(self, seconds: float = 60) -> Life:
        due_at = self.now + timedelta(seconds=seconds)
        return self.then("Scheduled", max_attempts=self._max_attempts, due_at=due_at)

    def started(self, worker_id: str = "w1", *, turn: int | None = None) -> Life:
        self.now = max(self.now, self.head.after.due_at or self.now)
        return self.together(self._start(worker_id, turn))

    def taken_over_and_started(self, worker_id: str = "w2", *, turn: int | None = None) -> Life:
        taken = Change(kind=Status.TAKEN_OVER, worker_id=worker_id, continues=True)
        return self.together(taken, self._start(worker_id, turn))

    def taken_over(self, worker_id: str = "w2") -> Life:
        return self.then("TakenOver", worker_id=worker_id)

    def by_holder(self, status: str, **change: Any) -> Life:
        return self.then(status, worker_id=self.holder, **change)

    def step(self, number: int = 1) -> Life:
        return self.by_holder(f"Step {number}")

    def sent(self) -> Life:
        return self.by_holder("Step 1", sent=True)

    def waiting(self) -> Life:
        return self.by_holder("Waiting", due_at=self.now + 60 * SECOND)

    def retried(self, seconds: float = 10) -> Life:
        due_at = self.now + timedelta(seconds=seconds)
        return self.together(
            Change(kind=Status.ATTEMPT_FAILED, worker_id=self.holder, due_at=due_at),
            Change(kind=Status.RETRY_SCHEDULED, worker_id=self.holder),
        )

    def deferred(self, worker_id: str = "w1") -> Life:
        return self.then("Deferred", worker_id=worker_id, due_at=self.now + 11 * SECOND)

    def handed_back(self) -> Life:
        return self.by_holder("Deferred")

    def completed(self) -> Life:
        return self.by_holder("Completed")

    def erased(self, *, emptied: int | None = None) -> Life:
        """Append ``Erased``; of the rows before it the first ``emptied`` have lost their values."""
        facts = replace(self.facts, job_name=self.facts.job_type)
        change = Change(kind=Status.ERASED, message="values erased by ann, reason: asked for")
        self.events.append(draft(self.head, facts, change, occurred_at=self.now + SECOND))
        last = len(self.events) - 1 if emptied is None else emptied
        self.events[:last] = [event.without_values() for event in self.events[:last]]
        return self

    def _start(self, worker_id: str, turn: int | None) -> Change:
        shared = self.facts.lock_key is not None
        if shared:
            self.turn = turn or self.turn + 1
        key = self.facts.lock_key
        return Change(
            kind=Status.STARTED,
            worker_id=worker_id,
            lock=job_lock(self.facts.job_id) if key is None else key_lock(key),
            lock_turn=self.turn if shared else None,
        )

    def tampered(self, at: int, **fields: Any) -> Life:
        """Write the row with sequence ``at`` otherwise; ``writer`` is the row's worker."""
        index = next(i for i, event in enumerate(self.events) if event.sequence == at)
        event = self.events[index]
        row = {_ROW[name]: fields.pop(name) for name in _ROW if name in fields}
        self.events[index] = replace(event, after=replace(event.after, **fields), **row)
        self.events = rechained(self.events)
        return self

    def inserted(self, index: int, status: str, **fields: Any) -> Life:
        """Slip a row in that continues the numbering, and renumber the rest."""
        before = self.events[index - 1]
        row = replace(before, status=status, event_id=new_id())
        self.events.insert(index, row)
        for place, event in enumerate(self.events, start=1):
            self.events[place - 1] = replace(event, after=replace(event.after, sequence=place))
        self.events = rechained(self.events)
        return self.tampered(index + 1, **fields) if fields else self

    def without(self, sequence: int) -> Life:
        self.events = [event for event in self.events if event.sequence != sequence]
        return self


def ended(state: State) -> Life:
    """A job that ended in this state on its first attempt."""
    life = Life().queued().started()
    verbs = {
        State.COMPLETED: "Completed",
        State.FAILED: "Failed",
        State.CANCELLED: "Cancelled",
        State.TIMED_OUT: "TimedOut",
    }
    return life.by_holder(verbs[state])
