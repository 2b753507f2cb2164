"""What stays of a removed history, and that the checker takes exactly that."""

from dataclasses import replace
from typing import Any

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.trail.tombstone import is_tombstone, seal_of, tombstone_of
from tests.protocol.life import Life, rechained


def removed(life: Life, *, ending: int = -1) -> Event:
    return tombstone_of(life.events[ending], life.head, digest="d", message="history removed")


def completed() -> Life:
    return Life().queued().started().step().completed()


def failed() -> Life:
    return Life().queued().started().by_holder("Failed")


def rules(*events: Event) -> set[int]:
    return {violation.rule for violation in verify_job(events)}


@pytest.mark.parametrize("life", [completed, failed])
def test_a_lone_tombstone_breaks_no_rule(life: Any) -> None:
    stone = removed(life())
    assert is_tombstone(stone)
    assert rules(stone) == set()


def test_a_tombstone_tells_how_the_job_ended_and_nothing_of_what_it_did() -> None:
    life = completed()
    stone = removed(life)
    assert (stone.status, stone.after.state) == ("Completed", State.COMPLETED)
    assert stone.after.epoch == life.head.after.epoch
    assert stone.occurred_at == life.head.occurred_at
    assert stone.data == {"tombstone": True, "removed": 3, "digest": "d"}


def test_of_a_dismissed_job_the_failure_stays() -> None:
    life = failed().then("Dismissed")
    stone = removed(life, ending=-2)
    assert (stone.status, stone.after.dismissed) == ("Failed", True)
    assert rules(stone) == set()


def test_an_event_after_a_tombstone_breaks_rule_4() -> None:
    life = completed()
    assert rules(removed(life), life.head) == {4}


def test_a_seal_stands_behind_the_rows_that_it_removes_or_breaks_a_rule() -> None:
    life = completed()
    seal = seal_of(removed(life), head=life.head)
    assert rules(*life.events, seal) == set()
    assert rules(seal) == {1}
    stone = removed(life)
    late = seal_of(stone, head=replace(life.head, after=replace(life.head.after, sequence=5)))
    assert rules(*life.events, late) == {1, 2}


def test_a_history_that_is_being_removed_lacks_its_oldest_rows_but_the_first() -> None:
    life = completed()
    first, *rest = life.events
    seal = seal_of(removed(life), head=life.head)
    for gone in range(len(rest) + 1):
        assert rules(first, *rest[gone:], seal) == set()


@pytest.mark.parametrize("gone", [0, 2, 3])
def test_no_other_row_is_missing_before_a_seal(gone: int) -> None:
    life = completed()
    events = [event for place, event in enumerate(life.events) if place != gone]
    assert 1 in rules(*events, seal_of(removed(life), head=life.head))


@pytest.mark.parametrize("kind", [completed, failed])
def test_a_seal_that_says_otherwise_than_the_row_before_it_breaks_rule_2(kind: Any) -> None:
    life = kind()
    stone = removed(life)
    other = State.CANCELLED
    falsely = replace(stone, status="Cancelled", after=replace(stone.after, state=other))
    renamed = replace(stone, facts=replace(stone.facts, job_type="another"))
    for forged in (falsely, renamed):
        assert rules(*life.events, seal_of(forged, head=life.head)) == {2}


def test_a_row_before_a_seal_is_checked_like_any_other() -> None:
    life = completed()
    seal = seal_of(removed(life), head=life.head)
    first, second, *rest = life.events
    changed = replace(second, message="changed")
    assert rules(first, changed, *rest, seal) == {12}
    emptied = [event.without_values() for event in life.events]
    assert rules(*emptied, seal) == {12}


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"tombstone": True}},
        {"data": {"tombstone": True, "removed": 0, "digest": None}},
        {"data": {"tombstone": True, "removed": 3, "digest": None, "result": 1}},
        {"status": "Failed"},
        {"status": "Started"},
    ],
)
def test_a_tombstone_of_another_form_breaks_rule_2(changes: dict[str, Any]) -> None:
    assert rules(*rechained([replace(removed(completed()), **changes)])) == {2}


def test_an_ending_without_the_mark_cannot_stand_alone() -> None:
    life = completed()
    assert 1 in rules(life.head)
    assert rules(replace(life.head, after=replace(life.head.after, sequence=1)))
