"""What a worker does about a message, for each state of the job and each view of the locks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from jobfleet_contracts.event import MAX_TAKEOVERS, Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import TERMINAL, State, Status
from jobfleet_protocol.claiming.decision import (
    Attended,
    Busy,
    Decision,
    Ended,
    Finish,
    LockAttempt,
    LockView,
    Resend,
    Start,
    Wait,
    decide,
)
from jobfleet_protocol.trail.transitions import draft
from tests.protocol.life import NOON, SECOND, Life, ended

LATER = NOON + 3600 * SECOND
HEADS = {
    "queued": Life().queued(),
    "scheduled": Life().scheduled(7200),
    "due": Life().scheduled(10),
    "deferred": Life().queued().deferred(),
    "running": Life().queued().started(),
    "cancel requested": Life().queued().started().then("CancelRequested"),
    "retrying": Life().queued().started().retried(7200),
    "waiting": Life().queued().started().by_holder("Waiting", due_at=NOON + 7200 * SECOND),
    "cancel requested while waiting": Life()
    .queued()
    .started()
    .by_holder("Waiting", due_at=NOON + 7200 * SECOND)
    .then("CancelRequested"),
    "sent": Life().queued().started().by_holder("Waiting", due_at=NOON + 7200 * SECOND).sent(),
    "overdue": Life().queued().started().waiting(),
    **{state.value: ended(state) for state in TERMINAL},
}
MESSAGE = JobMessage(request=JobRequest(type="x"))


def view(head: Event, **changes: object) -> LockView:
    known = LockView(
        lock_slots=(),
        lock=job_lock(head.job_id),
        worker_id="w9",
        attempt=LockAttempt.HELD,
        holder_lives=False,
        resend_only=False,
        max_attempts=3,
        max_takeovers=MAX_TAKEOVERS,
        is_alone=True,
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def decided(name: str, **changes: object) -> Decision:
    head = HEADS[name].head
    return decide(head, MESSAGE, view(head, **changes), LATER)


@pytest.mark.parametrize(
    ("name", "held", "refused", "untried"),
    [
        ("queued", Start, Busy, Busy),
        ("scheduled", Wait, Wait, Wait),
        ("due", Start, Busy, Busy),
        ("deferred", Start, Busy, Busy),
        ("running", Start, Busy, Busy),
        ("cancel requested", Finish, Busy, Busy),
        ("retrying", Wait, Wait, Wait),
        ("waiting", Resend, Attended, Resend),
        ("cancel requested while waiting", Finish, Attended, Resend),
        ("sent", Attended, Attended, Attended),
        ("overdue", Finish, Finish, Finish),
        *[(state.value, Ended, Ended, Ended) for state in sorted(TERMINAL)],
    ],
)
def test_what_is_decided_with_the_lock_beside_its_holder_and_without_having_asked(
    name: str, held: type, refused: type, untried: type
) -> None:
    assert isinstance(decided(name), held)
    assert isinstance(decided(name, attempt=LockAttempt.REFUSED), refused)
    assert isinstance(decided(name, attempt=LockAttempt.UNTRIED), untried)


@pytest.mark.parametrize(
    ("name", "flags"),
    list(product(sorted(HEADS), product(LockAttempt, (True, False), (True, False)))),
)
def test_whatever_is_decided_may_be_written_and_a_run_needs_the_lock(
    name: str, flags: tuple[LockAttempt, bool, bool]
) -> None:
    attempt, holder_lives, resend_only = flags
    head = HEADS[name].head
    decision = decided(name, attempt=attempt, holder_lives=holder_lives, resend_only=resend_only)
    for change in getattr(decision, "changes", ()):
        head = draft(head, head.facts, change, occurred_at=LATER)
    match decision:
        case Start():
            assert attempt is LockAttempt.HELD
            assert not resend_only
            assert (head.after.state, head.worker_id) == (State.RUNNING, "w9")
        case Resend():
            assert (head.after.state, head.after.worker_id) == (State.WAITING, "w9")
        case Ended() | Finish():
            assert head.after.state.is_terminal
        case _:
            assert head is HEADS[name].head


@pytest.mark.parametrize("attempt", LockAttempt)
def test_a_running_job_whose_lock_is_leased_elsewhere_is_left_alone(attempt: LockAttempt) -> None:
    decision = decided("running", attempt=attempt, holder_lives=True)
    assert isinstance(decision, Attended)


def test_an_unsent_request_is_sent_under_the_jobs_own_lock_alone() -> None:
    for attempt in LockAttempt:
        assert isinstance(decided("waiting", lock="key/1", attempt=attempt), Resend)


def test_a_lock_for_resending_starts_no_run() -> None:
    for name in ("queued", "due", "deferred", "running"):
        assert isinstance(decided(name, resend_only=True), Attended)
    assert isinstance(decided("waiting", resend_only=True), Resend)


def test_a_message_that_waits_for_the_deadline_waits_on() -> None:
    head = HEADS["sent"].head
    message = replace(MESSAGE, due_at=LATER + SECOND)
    assert decide(head, message, view(head), LATER) == Wait(head, LATER + SECOND)


def test_a_job_that_lost_too_many_workers_in_a_row_fails() -> None:
    head = HEADS["running"].head
    for lost in range(MAX_TAKEOVERS + 1):
        crashed = replace(head, after=replace(head.after, takeovers=lost))
        expected = Start if lost < MAX_TAKEOVERS else Finish
        assert isinstance(decide(crashed, MESSAGE, view(head), LATER), expected)
    last = decide(crashed, MESSAGE, view(head), LATER)
    assert isinstance(last, Finish)
    assert last.changes[-1].kind is Status.FAILED


def test_a_waiting_job_with_an_unanswered_cancel_request_is_cancelled_under_its_own_lock() -> None:
    life = Life().queued().started().then("CancelRequested")
    head = life.by_holder("Waiting", due_at=LATER + SECOND).head
    decision = decide(head, MESSAGE, view(head), LATER)
    assert isinstance(decision, Finish)
    assert [change.kind for change in decision.changes] == [Status.CANCELLED]
    assert isinstance(decide(head, MESSAGE, view(head, lock="key/1"), LATER), Resend)
