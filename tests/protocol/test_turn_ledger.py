"""Rule 9: turns under one lock are unique, rise, and each earlier one is closed."""

from __future__ import annotations

from jobfleet_contracts.lease import FLEET_LOCK
from jobfleet_protocol.audit.verification import Verifier
from tests.protocol.life import SECOND, Life


def under_key(turn: int, *, at: int = 0) -> Life:
    life = Life(lock_key="k")
    life.now += at * SECOND
    return life.queued().started(turn=turn)


def verified(*lives: Life) -> Verifier:
    verifier = Verifier()
    for life in lives:
        verifier.add(life.events)
    verifier.finish()
    return verifier


def test_turns_one_after_the_other_break_nothing() -> None:
    verifier = verified(
        under_key(2, at=100).completed(), under_key(7, at=200), under_key(1).completed()
    )
    assert (verifier.violations.total, verifier.notes.total) == (0, 0)


def test_one_turn_taken_twice_is_a_violation_that_names_both_jobs() -> None:
    one, two = under_key(3).completed(), under_key(3, at=100).completed()
    (violation,) = verified(one, two).violations.kept
    assert (violation.rule, violation.job_id, violation.sequence) == (9, two.facts.job_id, 2)
    assert one.facts.job_id in violation.message


def test_a_turn_left_open_before_a_later_one_is_a_violation() -> None:
    one, two = under_key(1), under_key(2, at=100).completed()
    (violation,) = verified(one, two).violations.kept
    assert (violation.rule, violation.job_id, violation.sequence) == (9, one.facts.job_id, 2)


def test_endings_waits_deferrals_retries_and_takeovers_close_a_turn() -> None:
    closed = [
        under_key(1).completed(),
        under_key(2, at=100).waiting(),
        under_key(3, at=200).handed_back(),
        under_key(4, at=300).retried(),
        under_key(5, at=400).taken_over(),
    ]
    verifier = verified(*closed, under_key(6, at=500))
    assert (verifier.violations.total, verifier.notes.total) == (0, 0)


def test_a_start_after_a_takeover_opens_the_turn_anew() -> None:
    life = under_key(1).taken_over_and_started(turn=2)
    (violation,) = verified(life, under_key(3, at=100)).violations.kept
    assert (violation.rule, violation.sequence) == (9, 4)


def test_turns_that_overlap_by_their_clocks_are_noted() -> None:
    one = under_key(1)
    one.now += 60 * SECOND
    verifier = verified(one.completed(), under_key(2, at=10).completed())
    assert verifier.violations.total == 0
    assert "began 51.000000 s before the end of turn 1" in verifier.notes.kept[0].message


def test_the_locks_of_two_keys_have_turns_of_their_own() -> None:
    other = Life(lock_key="other").queued().started(turn=1)
    assert verified(under_key(1), other).violations.total == 0


def in_fleet(turn: int, *, at: int = 0) -> Life:
    life = Life()
    life.now += at * SECOND
    return life.queued().started().tampered(2, lock=FLEET_LOCK, lock_turn=turn)


def test_the_fleets_lock_has_turns_too() -> None:
    early = in_fleet(1)
    (violation,) = verified(early, in_fleet(2, at=100)).violations.kept
    assert (violation.rule, violation.job_id) == (9, early.facts.job_id)


def test_a_turn_that_was_closed_since_it_was_read_is_read_again() -> None:
    early, late = under_key(1), under_key(2, at=100)
    verifier = Verifier()
    verifier.add(early.events)
    verifier.add(late.events)
    assert verifier.doubtful() == [early.facts.job_id]
    verifier.add_again(early.completed().events)
    assert verifier.finish() == []


def test_a_turn_that_is_still_open_when_read_again_counts() -> None:
    early, late = under_key(1), under_key(2, at=100)
    verifier = Verifier()
    verifier.add(early.events)
    verifier.add(late.events)
    verifier.add_again(early.step().events)
    assert [v.rule for v in verifier.finish()] == [9]
