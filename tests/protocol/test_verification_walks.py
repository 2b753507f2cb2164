"""Random lives: legal ones break nothing, and one changed column is noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from jobfleet_contracts.errors import IllegalTransition
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.audit.history_check import HistoryCheck
from jobfleet_protocol.audit.verification import Verifier, verify_job
from tests.protocol.life import SECOND, Life

Move = Callable[[Life], Life]


def held(status: str) -> Move:
    return lambda life: life.by_holder(status)


def outside(status: str) -> Move:
    return lambda life: life.then(status)


def unheld(move: Move) -> Move:
    """What any worker may do to a job that no worker runs."""
    return lambda life: life if life.head.after.state is State.RUNNING else move(life)


def running(move: Move) -> Move:
    """What is done only to a running job."""
    return lambda life: move(life) if life.head.after.state is State.RUNNING else life


MOVES: Sequence[Move] = (
    lambda life: life.started("w1"),
    lambda life: life.started("w2"),
    lambda life: life.step(),
    lambda life: life.sent(),
    lambda life: life.waiting(),
    lambda life: life.retried(),
    lambda life: life.handed_back(),
    lambda life: life.taken_over("w3"),
    running(lambda life: life.taken_over_and_started("w4")),
    unheld(lambda life: life.deferred("w9")),
    unheld(outside("Cancelled")),
    unheld(lambda life: life.then("TimedOut", worker_id="w8")),
    outside("CancelRequested"),
    held("Completed"),
    held("Failed"),
    held("Cancelled"),
    held("TimedOut"),
    outside("Redriven"),
    outside("Dismissed"),
)


@st.composite
def lives(draw: st.DrawFn, *, has_run: bool = False) -> Life:
    life = Life(lock_key=draw(st.sampled_from([None, "key"])), max_attempts=draw(st.integers(1, 4)))
    life = life.scheduled() if draw(st.booleans()) else life.queued()
    if has_run or draw(st.booleans()):
        life.started().step()
    for move in draw(st.lists(st.sampled_from(MOVES), max_size=40)):
        with suppress(IllegalTransition):
            move(life)
    return life


OTHER: dict[str, Callable[[Event], Any]] = {
    "sequence": lambda event: event.sequence + 1,
    "epoch": lambda event: event.after.epoch + 1,
    "attempt": lambda event: event.after.attempt + 1,
    "attempts_used": lambda event: event.after.attempts_used + 1,
    "incarnation": lambda event: event.after.incarnation + 1,
    "worker_id": lambda _: "somebody",
    "lock": lambda _: "job/00/another",
    "lock_turn": lambda event: (event.after.lock_turn or 0) + 1,
    "locks": lambda event: (*event.after.locks, HeldLock("limit/other/1", 1)),
    "due_at": lambda event: (event.after.due_at or event.occurred_at) + SECOND,
    "max_attempts": lambda event: event.after.max_attempts + 1,
    "sent": lambda event: not event.after.sent,
    "cancel_requested": lambda event: not event.after.cancel_requested,
    "takeovers": lambda event: event.after.takeovers + 1,
    "dismissed": lambda event: not event.after.dismissed,
    "lifecycle_before": lambda event: event.after.lifecycle_before + 1,
}
DECIDED = {
    "due_at": {Status.SCHEDULED, Status.DEFERRED, Status.ATTEMPT_FAILED, Status.WAITING},
    "max_attempts": {Status.QUEUED, Status.SCHEDULED, Status.STARTED},
    "lock_turn": {Status.STARTED},
    "locks": {Status.STARTED},
    "sent": {Status.STEP},
}
"""Where the writer decides a column freely, so that one row alone cannot show a change."""


@given(lives())
def test_a_random_legal_life_breaks_no_rule(life: Life) -> None:
    check = HistoryCheck().check(life.events)
    assert (check.violations, check.notes) == ([], [])


@given(lives(), st.data())
def test_a_changed_column_of_the_state_is_noticed(life: Life, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(sorted(OTHER)))
    event = data.draw(st.sampled_from(life.events))
    assume(event.kind not in DECIDED.get(column, set()))
    life.tampered(event.sequence, **{column: OTHER[column](event)})
    assert verify_job(life.events)


@given(lives(), st.data())
def test_another_state_is_noticed(life: Life, data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(life.events))
    state = data.draw(st.sampled_from([s for s in State if s is not event.after.state]))
    assert verify_job(life.tampered(event.sequence, state=state).events)


@given(lives(), st.data())
def test_another_status_is_noticed(life: Life, data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(life.events))
    names = {"Step 9" if s is Status.STEP else s.value for s in Status if s is not event.kind}
    status = data.draw(st.sampled_from(sorted(names)))
    asked_again = {event.kind, Status.of(status)} == {Status.STEP, Status.CANCEL_REQUESTED}
    assume(not (asked_again and event.after.cancel_requested))
    assert verify_job(life.tampered(event.sequence, status=status).events)


@given(lives(), st.data())
def test_a_row_taken_out_is_noticed_unless_it_is_the_last(life: Life, data: st.DataObject) -> None:
    assume(len(life.events) > 1)
    event = data.draw(st.sampled_from(life.events[:-1]))
    violations = verify_job(life.without(event.sequence).events)
    assert 1 in {violation.rule for violation in violations}


@given(lives(has_run=True), st.data())
def test_a_foreign_writer_beside_a_running_holder_is_noticed(
    life: Life, data: st.DataObject
) -> None:
    beside = (Status.CANCEL_REQUESTED, Status.TAKEN_OVER)
    rows = [
        event
        for before, event in pairwise(life.events)
        if before.after.state is State.RUNNING and event.kind not in beside
    ]
    event = data.draw(st.sampled_from(rows))
    assert verify_job(life.tampered(event.sequence, writer="somebody").events)


@given(st.lists(lives(), min_size=2, max_size=4), st.data())
def test_an_event_id_used_twice_is_noticed_wherever_it_stands(
    born: list[Life], data: st.DataObject
) -> None:
    one, two = data.draw(st.permutations(born))[:2]
    copied = data.draw(st.sampled_from(one.events)).event_id
    two.tampered(data.draw(st.integers(1, len(two.events))), event_id=copied)
    verifier = Verifier()
    for life in born:
        verifier.add(life.events)
    assert 7 in {violation.rule for violation in verifier.finish()}
