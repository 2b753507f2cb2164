"""What a worker does about a message: a pure decision, which sends no request to storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.lease import SUSPECT_NOTE, job_lock
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.lost_for_good import lost_for_good
from jobfleet_protocol.claiming.rate_limiter import AT_HAND, RATE
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_protocol.trail.transitions import Change, counts_as_loss

SUSPECT_TAKEOVERS = 2
"""A job that lost this many workers is a suspect and runs alone: each further loss is its own."""
ALONE = "alone"
"""Reason of a deferral: a suspect waits until its worker runs nothing else."""


class LockAttempt(Enum):
    """What came of this worker's attempt to lease the lock that it decides by."""

    HELD = "this worker holds it"
    REFUSED = "another worker holds it"
    UNTRIED = "this worker did not ask for it, because a limit of the job is full"


@dataclass(frozen=True, slots=True)
class LockView:
    """What the worker knows about the locks when it decides.

    Attributes:
        lock: the lock that the worker holds for this claim. If it holds none, the job's own lock,
            or the first lock slot of its lock key.
        lock_slots: the job needs one of these locks; if ``lock`` is a lock slot, it is among them.
        worker_id: the worker that decides.
        attempt: whether this worker holds ``lock``, another one does, or the claim has not asked.
        holder_lives: the lock on which a running job rests is leased by another worker.
        resend_only: the lock allows to send a waiting job's request again, and no run.
        max_attempts: how many attempts the job has, by its request, handler and defaults.
        max_takeovers: how many lost workers in a row it survives, by its request and handler.
        suspect: the job that blocked the loop of a running job's lost worker, if known.
        pause: the pause of the job's queue or type, if any: nothing may begin, but endings are
            written.
        is_alone: this worker runs nothing else, and starts nothing else beside this claim.
    """

    lock: str
    lock_slots: Sequence[str]
    worker_id: str
    attempt: LockAttempt
    holder_lives: bool
    resend_only: bool
    max_attempts: int
    max_takeovers: int
    is_alone: bool
    pause: Pause | None = None
    suspect: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether this worker holds the lock: only then may it start a job or take one over."""
        return self.attempt is LockAttempt.HELD


@dataclass(frozen=True, slots=True)
class Start:
    """Append ``changes``, which end with ``Started``, and run the job."""

    head: Event
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Resend:
    """Take the job's own lock, append ``changes`` and send a waiting job's request again."""

    head: Event
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Finish:
    """Append ``changes``, the last of which ends the job."""

    head: Event
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Isolate:
    """Append ``changes``, which defer a suspect until its worker runs nothing else."""

    head: Event
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class OtherLockSlot:
    """The job's lost holder ran it in another lock slot, ``lock``: take it over in that one."""

    head: Event
    lock: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The job has ended.

    Attributes:
        head: the event that ended it, or a later one.
        written: this claim wrote the ending. What follows an ending is still to be done.
    """

    head: Event
    written: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """It is too early: pass the message on until ``until``."""

    head: Event
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Busy:
    """This worker holds no lock for the job: try later.

    Another job holds it, or another worker is claiming this job, or no claim has asked for it.
    """

    lock: str
    head: Event | None


@dataclass(frozen=True, slots=True)
class Attended:
    """Drop the message: another worker runs the job, it waits for its callback, or a redrive has
    published a message of its own."""

    head: Event


@dataclass(frozen=True, slots=True)
class Paused:
    """Queue or type is paused: nothing begins before it is resumed."""

    head: Event
    pause: Pause


@dataclass(frozen=True, slots=True)
class Suspect:
    """The job lost two workers in a row: it starts once this worker runs nothing else."""

    head: Event


Decision = (
    Start
    | Resend
    | Finish
    | Isolate
    | OtherLockSlot
    | Ended
    | Wait
    | Busy
    | Attended
    | Paused
    | Suspect
)


def decide(head: Event, message: JobMessage, view: LockView, now: datetime) -> Decision:
    """Return what to do about ``message`` where ``head`` is the job's newest row."""
    match head.after.state:
        case State.COMPLETED | State.FAILED | State.CANCELLED | State.TIMED_OUT:
            return Ended(head)
        case State.WAITING:
            return _about_a_waiting_job(head, message, view, now)
        case _ if view.resend_only:  # the wait is over, and a run needs another lock
            return Attended(head)
        case State.RUNNING:
            if view.holder_lives:
                return Attended(head)
            if not view.is_held:
                return Busy(view.lock, head)
            # The worker that holds a running job's lock has proved that its holder is gone. Another
            # lock slot proves nothing: a renewal under way can still revive the holder's view.
            held = head.after.lock
            if held is not None and held != view.lock and held in view.lock_slots:
                return OtherLockSlot(head, held)
            return _about_a_claimable_job(head, view, now)
        case State.SCHEDULED | State.QUEUED | State.DEFERRED | State.RETRYING:
            # A job that is under its lock before its reserved start needs only one more write then.
            at_hand = AT_HAND if head.data.get("reason") == RATE else timedelta(0)
            if is_due_later(head, now + at_hand):
                return Wait(head, head.after.due_at)
            if view.is_held:
                return _about_a_claimable_job(head, view, now)
            if view.pause is not None and not head.after.cancel_requested:
                return Paused(head, view.pause)
            return Busy(view.lock, head)
        case never:
            assert_never(never)


def ends_without_a_start(head: Event, now: datetime) -> bool:
    """Whether a claim of this job writes its end: a pause does not keep such a claim back."""
    after = head.after
    if after.state is State.WAITING:
        return after.due_at is not None and after.due_at <= now
    crashed = after.state is State.RUNNING and after.takeovers + 1 > after.max_takeovers
    return after.cancel_requested or crashed


def is_due_later(head: Event, now: datetime) -> bool:
    """Return whether the job's due time, or its deadline, lies ahead."""
    return head.after.due_at is not None and head.after.due_at > now


def _about_a_waiting_job(
    head: Event, message: JobMessage, view: LockView, now: datetime
) -> Decision:
    if head.facts.job_type == GROUP_TYPE:
        return Attended(head)  # its members end it, or the rescuer
    # The deadline comes first: a job that no worker sends any more must end all the same.
    if head.after.due_at is not None and head.after.due_at <= now:
        timed_out = Change(kind=Status.TIMED_OUT, message="no callback came in time")
        return Finish(head, [timed_out])
    if message.due_at is not None and message.due_at > now:
        return Wait(head, message.due_at)
    if head.after.sent:
        return Attended(head)
    if view.pause is not None and not head.after.cancel_requested:
        return Paused(head, view.pause)
    if view.lock == job_lock(head.job_id):
        # Its sender holds this lock while it sends. A lock that was not asked for proves no
        # sender: with the message dropped here the request would not be sent.
        if view.attempt is LockAttempt.REFUSED:
            return Attended(head)
        if view.is_held and head.after.cancel_requested:
            return Finish(head, [_cancelled(view)])
    again = "the request is sent again: it is not known to have arrived"
    taken = Change(
        kind=Status.TAKEN_OVER,
        worker_id=view.worker_id,
        message=again,
        data=lost_by(head.after.worker_id),
    )
    return Resend(head, [taken])


def _about_a_claimable_job(
    head: Event, view: LockView, now: datetime
) -> Start | Finish | Isolate | Paused | Suspect:
    """Return ``Started``, or what a cancel request, lost workers or a pause make of it."""
    after, running = head.after, head.after.state is State.RUNNING
    taken = [_taken_over(head, view)] if running else []
    if after.cancel_requested:
        return Finish(head, [*taken, _cancelled(view)])
    lost = after.takeovers + counts_as_loss(after, head.job_id, _suspect_data(view))
    # By the row and not by this worker's handler: it may be another release by now.
    if lost > after.max_takeovers:
        return Finish(head, [*taken, lost_for_good(lost, view.worker_id)])
    # After the endings, which a pause does not keep back.
    if view.pause is not None:
        return Paused(head, view.pause)
    # Started beside other jobs, a suspect would have them lose their worker again, or be blamed
    # for one of them.
    if lost >= SUSPECT_TAKEOVERS and not view.is_alone:
        # A job that is deferred already is to wait once more: that needs no further event.
        return Isolate(head, [*taken, _waits_alone(lost, view, now)]) if running else Suspect(head)
    if running:
        # One transaction with Started: alone it would put the job back into its queue.
        taken = [_taken_over(head, view, continues=True)]
    return Start(head, [*taken, _started(head, view, now)])


def _started(head: Event, view: LockView, now: datetime) -> Change:
    return Change(
        kind=Status.STARTED,
        worker_id=view.worker_id,
        lock=view.lock,
        max_attempts=view.max_attempts,
        max_takeovers=view.max_takeovers,
        duration_ms=_waited_ms(head, now),
        message=f"attempt {head.after.attempts_used + 1} of {view.max_attempts}",
    )


def _waited_ms(head: Event, now: datetime) -> int | None:
    """Return how long the job was due; ``None`` if its worker was lost: the time is unknown."""
    if head.after.state is State.RUNNING:
        return None
    due = head.after.due_at or head.occurred_at
    return max(0, round((now - due) / timedelta(milliseconds=1)))


def _taken_over(head: Event, view: LockView, *, continues: bool = False) -> Change:
    message = f"worker {head.after.worker_id} was lost"
    if view.suspect not in (None, head.job_id):
        message = f"{message}: job {view.suspect} blocked it"
    return Change(
        kind=Status.TAKEN_OVER,
        worker_id=view.worker_id,
        continues=continues,
        message=message,
        data=_suspect_data(view) | lost_by(head.after.worker_id),
    )


def _suspect_data(view: LockView) -> dict[str, str]:
    return {} if view.suspect is None else {SUSPECT_NOTE: view.suspect}


def _waits_alone(lost: int, view: LockView, now: datetime) -> Change:
    return Change(
        kind=Status.DEFERRED,
        worker_id=view.worker_id,
        due_at=now,
        message=f"its worker was lost {lost} times in a row: it waits to run alone in a worker",
        data={"reason": ALONE},
    )


def _cancelled(view: LockView) -> Change:
    message = "cancelled before it ran again"
    return Change(kind=Status.CANCELLED, worker_id=view.worker_id, message=message)
