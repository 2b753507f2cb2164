"""Which event may follow which, and the job's state after it.

The only place that knows the table of docs/states.md. Writers build events with :func:`draft`;
the checker behind ``audit verify`` folds stored rows with the same :func:`follow`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobfleet_contracts.changed import changed
from jobfleet_contracts.codec import encodable
from jobfleet_contracts.cut_text import LOOKED_AT, cut_text
from jobfleet_contracts.errors import IllegalTransition, WrittenByNewer
from jobfleet_contracts.event import MAX_MESSAGE_CHARACTERS, Event, HeldLock, JobFacts, JobState
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import SUSPECT_NOTE
from jobfleet_contracts.state import CLAIMABLE, DEAD, TERMINAL, State, Status, status_name
from jobfleet_protocol.trail.chain import chained

REDRIVABLE = DEAD | {State.CANCELLED}
_OPEN = frozenset(State) - {s for s in State if s.is_terminal}
_HELD = frozenset({State.RUNNING, State.WAITING})

_FROM: Mapping[Status, frozenset[State]] = {
    Status.DEFERRED: CLAIMABLE | {State.RUNNING},
    Status.STARTED: CLAIMABLE | {State.RUNNING},
    Status.STEP: _HELD,
    Status.WAITING: frozenset({State.RUNNING}),
    Status.SEALED: frozenset({State.WAITING}),
    Status.ATTEMPT_FAILED: frozenset({State.RUNNING}),
    Status.RETRY_SCHEDULED: frozenset({State.RETRYING}),
    Status.TAKEN_OVER: _OPEN,
    Status.CANCEL_REQUESTED: _OPEN,
    Status.COMPLETED: _HELD,
    Status.FAILED: _OPEN,
    Status.CANCELLED: _OPEN,
    Status.TIMED_OUT: _OPEN,
    Status.REDRIVEN: REDRIVABLE,
    Status.DISMISSED: DEAD,
    Status.ERASED: frozenset(TERMINAL),
}


_OPENINGS: Mapping[Status, State] = {
    Status.QUEUED: State.QUEUED,
    Status.SCHEDULED: State.SCHEDULED,
    Status.WAITING: State.WAITING,
}
"""``Waiting`` begins the log of a group, which waits for its members and is never claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a writer decides about an event; the rest of the state follows from the table.

    Attributes:
        kind: the event's kind.
        step: number of a ``STEP``, from 0; ``None`` for every other kind.
        worker_id: the worker that writes; ``None`` for publishers, API and callbacks.
        due_at: for ``Scheduled``, ``Deferred``, ``AttemptFailed``; the deadline for ``Waiting``.
        max_attempts: for the opening event, and for ``Started`` if the handler decides. An attempt
            that a retry promised is granted, even if the handler's limit is lower now.
        max_takeovers: for ``Started``: how many lost workers in a row the job survives.
        lock, lock_turn: for ``Started``: where the claim rests; ``lock`` for ``Waiting`` too: a
            waiting job rests on its own lock, so that it keeps no other job from a shared one.
        locks: for ``Started``: the slots of limits that it holds beside ``lock``.
        sent: for a ``Step`` of a waiting job: the request has reached the third party.
        continues: for ``TakenOver``: ``Started`` follows in the same transaction.
    """

    kind: Status
    step: int | None = None
    worker_id: str | None = None
    due_at: datetime | None = None
    max_attempts: int | None = None
    max_takeovers: int | None = None
    lock: str | None = None
    lock_turn: int | None = None
    locks: tuple[HeldLock, ...] = ()
    sent: bool | None = None
    continues: bool = False
    message: str = ""
    duration_ms: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


def follow(previous: Event | None, change: Change, *, occurred_at: datetime) -> JobState:
    """Return the state after ``change``.

    Raises:
        IllegalTransition: the table forbids it after ``previous``.
        WrittenByNewer: ``previous`` is of a kind that this release does not know.
    """
    kind = change.kind
    if (kind is Status.STEP) != (change.step is not None):
        raise IllegalTransition("a Step has a number, and nothing else has one")
    if previous is None:
        return _opening(kind, change)
    if not previous.is_readable:  # what it means for the state is not known
        raise WrittenByNewer(previous.strangeness)
    if previous.kind is Status.ERASED:
        raise IllegalTransition("nothing follows Erased")
    before = previous.after
    again = before.dismissed and kind is Status.DISMISSED
    if before.state not in _FROM.get(kind, frozenset()) or again:
        raise IllegalTransition(f"{kind.value} may not follow state {before.state}")
    _check_pairs(previous, kind)
    _check_promises(before, kind, change)
    return _next(previous, kind, change, occurred_at)


def _opening(kind: Status, change: Change) -> JobState:
    if kind not in _OPENINGS:
        raise IllegalTransition(f"a trail cannot begin with {kind.value}")
    if kind is not Status.QUEUED and change.due_at is None:
        raise IllegalTransition(f"{kind.value} names its due time")
    due_at = None if kind is Status.QUEUED else change.due_at
    attempts = change.max_attempts or 1
    return JobState(state=_OPENINGS[kind], sequence=1, max_attempts=attempts, due_at=due_at)


def _check_pairs(previous: Event, kind: Status) -> None:
    """Some events only ever follow a certain one, in the same transaction."""
    before, running = previous.kind, previous.after.state is State.RUNNING
    if (before is Status.ATTEMPT_FAILED) != (kind is Status.RETRY_SCHEDULED):
        raise IllegalTransition("AttemptFailed and RetryScheduled only come as a pair")
    taken_running = before is Status.TAKEN_OVER and running
    if taken_running and kind is not Status.STARTED:
        raise IllegalTransition("a takeover that keeps a job running is followed by its Started")
    if kind is Status.STARTED and running and not taken_running:
        raise IllegalTransition("Started follows a running attempt only after TakenOver")
    lost = previous.after.takeovers
    is_blamed = before is Status.TAKEN_OVER and kind is Status.FAILED
    survives = lost <= previous.after.max_takeovers
    if kind is Status.STARTED and not survives:
        raise IllegalTransition(f"Started after {lost} lost workers in a row, which end the job")
    if is_blamed and previous.after.state in CLAIMABLE and survives:
        raise IllegalTransition(f"Failed for lost workers after {lost} losses in a row")


def _check_promises(before: JobState, kind: Status, change: Change) -> None:
    """A cancel request beats a start and a retry; a retry needs an attempt left."""
    if before.cancel_requested and kind in (Status.STARTED, Status.ATTEMPT_FAILED):
        raise IllegalTransition(f"{kind.value} while a cancel request is unanswered: Cancelled")
    if kind is Status.ATTEMPT_FAILED and before.attempts_used + 1 >= before.max_attempts:
        raise IllegalTransition("AttemptFailed without an attempt left: Failed or TimedOut")
    if kind is Status.WAITING and change.due_at is None:
        raise IllegalTransition("Waiting carries its deadline")


def _next(previous: Event, kind: Status, change: Change, occurred_at: datetime) -> JobState:
    before, sequence = previous.after, previous.sequence + 1
    if kind is Status.REDRIVEN:
        return JobState(
            state=State.QUEUED,
            sequence=sequence,
            epoch=before.epoch,
            max_attempts=before.max_attempts,
            incarnation=before.incarnation + 1,
            lifecycle_before=previous.newest_lifecycle,
        )
    changes = _changes(previous, kind, change, occurred_at)
    return changed(before, sequence=sequence, lifecycle_before=previous.newest_lifecycle, **changes)


def _changes(
    previous: Event, kind: Status, change: Change, occurred_at: datetime
) -> dict[str, Any]:
    """Return the fields of the state that an event changes, but for its sequence."""
    before = previous.after
    match kind:
        case Status.DEFERRED:
            ended = 0 if before.state is State.RUNNING else before.takeovers
            due_at = change.due_at or occurred_at
            return {"state": State.DEFERRED, "due_at": due_at, "takeovers": ended}
        case Status.STARTED:
            return _started(previous, change)
        case Status.STEP:
            return {"sent": True} if change.sent and before.state is State.WAITING else {}
        case Status.WAITING:
            return _waiting(before, change)
        case Status.ATTEMPT_FAILED:
            return {
                "state": State.RETRYING,
                "due_at": change.due_at or occurred_at,
                "attempts_used": before.attempts_used + 1,
                "takeovers": 0,
            }
        case Status.TAKEN_OVER:
            return _taken_over(previous, change, occurred_at)
        case Status.CANCEL_REQUESTED:
            return {"cancel_requested": True}
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED | Status.TIMED_OUT:
            return _ended(before, kind)
        case Status.DISMISSED:
            return {"dismissed": True}
        case Status.ERASED:  # it cannot be redriven, so it leaves the dead-letter list
            return {"dismissed": before.dismissed or before.state in DEAD}
        case _:
            return {}


_TERMINAL = {
    Status.COMPLETED: State.COMPLETED,
    Status.FAILED: State.FAILED,
    Status.CANCELLED: State.CANCELLED,
    Status.TIMED_OUT: State.TIMED_OUT,
}


def _started(previous: Event, change: Change) -> dict[str, Any]:
    before = previous.after
    same_transaction = previous.kind is Status.TAKEN_OVER and before.state is State.RUNNING
    attempt = before.attempts_used + 1
    return {
        "state": State.RUNNING,
        "epoch": before.epoch if same_transaction else before.epoch + 1,
        "attempt": attempt,
        "max_attempts": max(change.max_attempts or before.max_attempts, attempt),
        "max_takeovers": before.max_takeovers
        if change.max_takeovers is None
        else change.max_takeovers,
        "worker_id": change.worker_id,
        "lock": change.lock,
        "lock_turn": change.lock_turn,
        "locks": change.locks,
        "due_at": None,
        "sent": False,
    }


def _waiting(before: JobState, change: Change) -> dict[str, Any]:
    lock = change.lock or before.lock
    return {
        "state": State.WAITING,
        "due_at": change.due_at,
        "sent": False,
        "takeovers": 0,
        "lock": lock,
        "lock_turn": before.lock_turn if lock == before.lock else None,
        "locks": (),
    }


def counts_as_loss(before: JobState, job_id: str, data: Mapping[str, Any]) -> bool:
    """Whether a takeover counts among the lost workers of a job.

    Data of the takeover may name another job that blocked the worker's loop. A job that may not
    start again counts the loss all the same: what it did is not known.
    """
    if before.state is not State.RUNNING:
        return False
    return data.get(SUSPECT_NOTE) in (None, job_id) or before.max_takeovers == 0


def _taken_over(previous: Event, change: Change, occurred_at: datetime) -> dict[str, Any]:
    before, job_id = previous.after, previous.job_id
    running = before.state is State.RUNNING
    claimed = {
        "epoch": before.epoch + 1,
        "worker_id": change.worker_id,
        "takeovers": before.takeovers + counts_as_loss(before, job_id, change.data),
    }
    if running and not change.continues:
        return claimed | {"state": State.DEFERRED, "due_at": occurred_at}
    return claimed


def _ended(before: JobState, kind: Status) -> dict[str, Any]:
    uses = before.state in _HELD and kind is not Status.CANCELLED
    return {
        "state": _TERMINAL[kind],
        "due_at": None,
        "attempts_used": before.attempts_used + uses,
        "cancel_requested": False,
    }


def draft(
    previous: Event | None, facts: JobFacts, change: Change, *, occurred_at: datetime
) -> Event:
    """Build the event that writes ``change`` after ``previous``, with an id and hashes of its own.

    Raises:
        IllegalTransition: the table forbids it.
        InvalidRequest: the data cannot be written as JSON.
    """
    return chained(previous, unchained(previous, facts, change, occurred_at=occurred_at))


def unchained(
    previous: Event | None, facts: JobFacts, change: Change, *, occurred_at: datetime
) -> Event:
    """Build the same without hashes, for an event that is never written."""
    return Event(
        facts=facts,
        after=follow(previous, change, occurred_at=occurred_at),
        event_id=new_id(),
        status=status_name(change.kind, change.step),
        message=cut_message(change.message),
        occurred_at=occurred_at,
        worker_id=change.worker_id,
        duration_ms=change.duration_ms,
        data=change.data,
    )


def cut_message(message: str) -> str:
    """Return a text as an event can hold it: a long one ends with how much was cut."""
    if len(message) <= MAX_MESSAGE_CHARACTERS:
        return encodable(message)
    # Cut before it is copied: a user's text may have hundreds of megabytes.
    kept = cut_text(encodable(message[:LOOKED_AT]), MAX_MESSAGE_CHARACTERS - 40)
    return f"{kept} … [{len(message) - len(kept):,} characters cut]"


def change_of(event: Event) -> Change:
    """Return what the writer of a stored event decided, to fold it again."""
    after = event.after
    return Change(
        kind=event.kind,
        step=event.step,
        worker_id=event.worker_id,
        due_at=after.due_at,
        max_attempts=after.max_attempts,
        max_takeovers=after.max_takeovers,
        lock=after.lock,
        lock_turn=after.lock_turn,
        locks=after.locks,
        sent=after.sent,
        continues=after.state is State.RUNNING,
        data={SUSPECT_NOTE: event.data[SUSPECT_NOTE]} if SUSPECT_NOTE in event.data else {},
    )
