"""The table of docs/states.md as data: every status after every state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobfleet_contracts.errors import IllegalTransition
from jobfleet_contracts.event import Event, JobState
from jobfleet_contracts.state import State, Status, step_of
from jobfleet_protocol.trail.transitions import Change, draft, follow
from tests.protocol.life import NOON, SECOND, Life, ended

OPEN: dict[str | None, str] = {
    s: s for s in ("scheduled", "queued", "deferred", "running", "waiting", "retrying")
}
CLAIMABLE = ("scheduled", "queued", "deferred", "retrying")
TABLE: dict[str, dict[str | None, str]] = {
    "Queued": {None: "queued"},
    "Scheduled": {None: "scheduled"},
    "Deferred": dict.fromkeys((*CLAIMABLE, "running"), "deferred"),
    "Started": dict.fromkeys(CLAIMABLE, "running"),
    "Step 7": {"running": "running", "waiting": "waiting"},
    "Waiting": {None: "waiting", "running": "waiting"},
    "Sealed": {"waiting": "waiting"},
    "AttemptFailed": {"running": "retrying"},
    "RetryScheduled": {},
    "TakenOver": {**OPEN, "running": "deferred"},
    "CancelRequested": {**OPEN},
    "Completed": dict.fromkeys(("running", "waiting"), "completed"),
    "Failed": dict.fromkeys(OPEN, "failed"),
    "Cancelled": dict.fromkeys(OPEN, "cancelled"),
    "TimedOut": dict.fromkeys(OPEN, "timedOut"),
    "Redriven": dict.fromkeys(("failed", "timedOut", "cancelled"), "queued"),
    "Dismissed": {"failed": "failed", "timedOut": "timedOut"},
    "Erased": {s: s for s in ("completed", "failed", "cancelled", "timedOut")},
}
"""State before (``None``: no event yet) to state after; what is not here is illegal."""

EPOCH_RISES = {"Started": 1, "TakenOver": 1}
NEWEST = {
    "scheduled": "Scheduled",
    "queued": "Queued",
    "deferred": "Deferred",
    "running": "Started",
    "waiting": "Waiting",
    "retrying": "RetryScheduled",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "timedOut": "TimedOut",
}
BEFORE = [None, *NEWEST]


def event_in(state: str) -> Event:
    """A newest event that leaves the job in this state."""
    opening = Life().queued().head
    after = JobState(
        state=State(state), sequence=5, epoch=4, attempt=2, attempts_used=1, max_attempts=3
    )
    fields = {n: getattr(opening, n) for n in ("facts", "event_id", "message", "occurred_at")}
    return Event(after=after, status=NEWEST[state], **fields)


def next_state(before: str | None, status: str) -> JobState:
    change = Change(
        kind=Status.of(status), step=step_of(status), worker_id="w1", due_at=NOON + SECOND
    )
    previous = None if before is None else event_in(before)
    return follow(previous, change, occurred_at=NOON)


def test_the_table_names_every_status_and_every_state() -> None:
    assert {Status.of(status) for status in TABLE} == set(Status)
    assert set(NEWEST) == {state.value for state in State}


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize("before", BEFORE)
def test_each_status_follows_exactly_the_states_of_the_table(
    before: str | None, status: str
) -> None:
    if before not in TABLE[status]:
        with pytest.raises(IllegalTransition):
            next_state(before, status)
        return
    after = next_state(before, status)
    assert after.state.value == TABLE[status][before]
    assert after.sequence == (1 if before is None else 6)
    assert after.epoch == (0 if before is None else 4 + EPOCH_RISES.get(status, 0))


def test_retry_scheduled_only_follows_attempt_failed_and_nothing_else_does() -> None:
    life = Life().queued().started().by_holder("AttemptFailed", due_at=NOON)
    with pytest.raises(IllegalTransition):
        life.started()
    assert life.by_holder("RetryScheduled").head.after.state is State.RETRYING


def test_a_takeover_in_one_transaction_shares_its_epoch_with_the_start() -> None:
    life = Life().queued().started().taken_over_and_started("w2")
    taken, started = life.events[-2:]
    assert (taken.after.state, taken.after.epoch) == (State.RUNNING, 2)
    assert (started.after.state, started.after.epoch, started.after.attempt) == (
        State.RUNNING,
        2,
        1,
    )


def test_a_takeover_that_keeps_the_job_running_is_followed_by_its_start_only() -> None:
    life = Life().queued().started().then("TakenOver", worker_id="w2", continues=True)
    with pytest.raises(IllegalTransition):
        life.step()


def test_a_lone_takeover_makes_a_running_job_due_now() -> None:
    life = Life().queued().started().taken_over()
    assert life.head.after.state is State.DEFERRED
    assert life.head.after.due_at == life.head.occurred_at


@pytest.mark.parametrize("state", ["scheduled", "queued", "deferred", "waiting", "retrying"])
def test_a_lone_takeover_leaves_state_and_due_time_of_other_jobs(state: str) -> None:
    previous = event_in(state)
    after = follow(previous, Change(kind=Status.TAKEN_OVER, worker_id="w9"), occurred_at=NOON)
    assert (after.state, after.due_at) == (previous.after.state, previous.after.due_at)
    assert (after.worker_id, after.takeovers) == ("w9", 0)


def test_takeovers_count_running_attempts_lost_until_a_worker_ends_one() -> None:
    life = Life(max_attempts=9).queued().started().taken_over().started("w2")
    life.taken_over_and_started("w3")
    assert life.head.after.takeovers == 2
    assert life.retried().head.after.takeovers == 0


@pytest.mark.parametrize("end", ["handed_back", "waiting", "retried"])
def test_an_attempt_that_its_own_worker_ends_clears_the_takeovers(end: str) -> None:
    life = Life().queued().started().taken_over_and_started()
    getattr(life, end)()
    assert life.head.after.takeovers == 0


def test_a_deferral_and_a_takeover_use_no_attempt_and_a_retry_uses_one() -> None:
    life = Life().queued().started().handed_back().started().taken_over().started()
    assert life.head.after.attempt == 1
    assert life.retried().started().head.after.attempt == 2


def test_a_retry_needs_an_attempt_left() -> None:
    life = Life(max_attempts=2).queued().started().retried().started()
    with pytest.raises(IllegalTransition, match="without an attempt left"):
        life.retried()


def test_a_cancel_request_beats_a_retry_and_a_start() -> None:
    life = Life().queued().started().then("CancelRequested")
    with pytest.raises(IllegalTransition, match="cancel request"):
        life.retried()
    with pytest.raises(IllegalTransition, match="cancel request"):
        life.taken_over().started()
    assert life.then("Cancelled", worker_id="w2").head.after.state is State.CANCELLED


@pytest.mark.parametrize("status", ["Completed", "Failed", "Cancelled", "TimedOut"])
def test_an_ending_answers_the_cancel_request(status: str) -> None:
    life = Life().queued().started().then("CancelRequested")
    assert life.head.after.cancel_requested
    assert not life.by_holder(status).head.after.cancel_requested


def test_an_attempt_that_a_retry_promised_is_granted_when_the_limit_sank() -> None:
    life = Life().queued().started().retried()
    change = Change(kind=Status.STARTED, worker_id="w2", max_attempts=1)
    after = follow(life.head, change, occurred_at=life.now)
    assert (after.attempt, after.max_attempts) == (2, 2)


def test_only_a_waiting_job_is_sent_and_it_stays_sent() -> None:
    life = Life().queued().started()
    assert not life.sent().head.after.sent
    assert not life.waiting().head.after.sent
    assert life.sent().head.after.sent
    assert life.by_holder("Step 2", sent=False).head.after.sent


@pytest.mark.parametrize("status", ["Scheduled", "Waiting"])
def test_a_schedule_and_a_wait_name_their_time(status: str) -> None:
    previous = None if status == "Scheduled" else event_in("running")
    with pytest.raises(IllegalTransition):
        follow(previous, Change(kind=Status.of(status), step=step_of(status)), occurred_at=NOON)


def test_a_redrive_opens_a_new_incarnation_and_keeps_the_epoch() -> None:
    life = Life().queued().started().taken_over_and_started().by_holder("Failed")
    after = life.then("Redriven").head.after
    assert after == JobState(
        state=State.QUEUED,
        sequence=6,
        epoch=2,
        max_attempts=3,
        incarnation=2,
        lifecycle_before=5,
    )


def test_a_dismissed_job_is_dismissed_once_and_may_be_redriven() -> None:
    life = ended(State.FAILED).then("Dismissed")
    with pytest.raises(IllegalTransition):
        life.then("Dismissed")
    assert not life.then("Redriven").head.after.dismissed


def test_a_start_forgets_due_time_and_worker_of_before() -> None:
    after = Life().scheduled().deferred("w9").started("w1").head.after
    assert (after.due_at, after.worker_id, after.sent) == (None, "w1", False)


def test_a_deferral_without_a_time_is_due_now() -> None:
    life = Life().queued().started().handed_back()
    assert life.head.after.due_at == life.head.occurred_at


def test_long_messages_are_cut_with_a_mark() -> None:
    facts = Life().facts
    event = draft(None, facts, Change(kind=Status.QUEUED, message="x" * 9000), occurred_at=NOON)
    assert len(event.message) <= 4000
    assert event.message.endswith("5,040 characters cut]")


def test_what_a_retry_waits_for_stays_through_its_pair() -> None:
    life = Life().queued().started().retried(30)
    failed, scheduled = life.events[-2:]
    assert failed.after.due_at == scheduled.after.due_at
    assert scheduled.after.due_at == failed.occurred_at + timedelta(seconds=29)


def test_a_job_that_must_not_run_twice_never_starts_after_a_lost_worker() -> None:
    life = Life().queued()
    life.together(replace(life._start("w1", None), max_takeovers=0))
    with pytest.raises(IllegalTransition, match="Started after 1 lost workers"):
        life.taken_over_and_started("w2")
    life.taken_over("w2")
    with pytest.raises(IllegalTransition, match="Started after 1 lost workers"):
        life.started("w2")
    life.then("Failed", worker_id="w2")
    assert life.then("Redriven").started("w3").head.after.state is State.RUNNING
