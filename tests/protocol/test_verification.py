"""Legal lives break nothing; trails broken on purpose break exactly the rule that is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from jobfleet_contracts.event import MAX_TAKEOVERS, Event
from jobfleet_contracts.lease import worker_lock
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.audit.history_check import HistoryCheck
from jobfleet_protocol.audit.verification import RULES, Verifier, verify_job
from jobfleet_protocol.trail.chain import chained
from jobfleet_protocol.trail.transitions import Change, draft
from tests.protocol.life import SECOND, Life, ended


def rules_broken(life: Life) -> set[int]:
    return {violation.rule for violation in verify_job(life.events)}


def running() -> Life:
    return Life().queued().started()


def waiting() -> Life:
    return running().waiting()


def lost(times: int) -> Life:
    """A job that lost so many workers in a row; the last takeover stands alone."""
    life = running()
    for _ in range(times - 1):
        life = life.taken_over_and_started("w2")
    return life.taken_over("w2")


@pytest.mark.parametrize("times", range(1, MAX_TAKEOVERS + 1))
def test_a_job_that_fails_for_fewer_than_six_lost_workers_breaks_rule_3(times: int) -> None:
    life = lost(MAX_TAKEOVERS + 1).then("Failed", worker_id="w2")
    failed = life.events[-1]
    fewer = lost(times).events
    assert {v.rule for v in verify_job(life.events)} == set()
    blamed = replace(failed, after=replace(failed.after, sequence=len(fewer) + 1))
    assert 3 in {violation.rule for violation in verify_job([*fewer, blamed])}


def unstartable(life: Life, writer: str = "w2") -> Life:
    """Append what ends a job whose messages ended the workers that took them."""
    error = {"type": "WorkerLost", "message": "10 workers were lost", "traceback": ""}
    return life.then("Failed", worker_id=writer, data={"error": error})


def outside(life: Life, status: str) -> Life:
    return life.then(status)


LEGAL: dict[str, Callable[[], Life]] = {
    "success": lambda: running().step(1).step(2).completed(),
    "erased": lambda: running().step(1).completed().erased(),
    "erased after a dismissal": lambda: running().by_holder("Failed").then("Dismissed").erased(),
    "an erasure under way": lambda: running().by_holder("Failed").erased(emptied=2),
    "an erasure not begun": lambda: running().completed().erased(emptied=0),
    "scheduled": lambda: Life().scheduled().started().completed(),
    "two retries": lambda: running().retried().started("w2").retried().started().completed(),
    "retries until none is left": lambda: (
        running().retried().started().retried().started().by_holder("Failed")
    ),
    "deferral": lambda: Life().queued().deferred("w9").deferred("w8").started().completed(),
    "hand-back": lambda: running().handed_back().started("w2").completed(),
    "takeover and start": lambda: running().taken_over_and_started("w2").step().completed(),
    "takeover and cancel": lambda: (
        outside(running(), "CancelRequested").taken_over().then("Cancelled", worker_id="w2")
    ),
    "lone takeover of a running job": lambda: (
        Life(lock_key="k").queued().started().taken_over().started("w3", turn=7).completed()
    ),
    "lone takeover of a claim in flight": lambda: (
        Life(lock_key="k").queued().taken_over().started("w3").completed()
    ),
    "lone takeover of a retrying job": lambda: (
        running().retried().taken_over().started("w3").completed()
    ),
    "crash loop": lambda: lost(6).then("Failed", worker_id="w2"),
    "suspect before its run": lambda: (
        lost(3).then("Deferred", worker_id="w2", data={"reason": "alone"}).started().completed()
    ),
    "callback": lambda: outside(waiting().sent(), "Completed"),
    "callback says failed": lambda: outside(waiting().sent(), "Failed"),
    "waiting times out": lambda: waiting().then("TimedOut", worker_id="w7"),
    "waiting taken over": lambda: outside(waiting().taken_over().sent(), "Completed"),
    "waiting refused": lambda: waiting().by_holder("Failed"),
    "cancel queued": lambda: outside(Life().queued(), "Cancelled"),
    "cancel scheduled": lambda: outside(Life().scheduled(), "Cancelled"),
    "cancel deferred": lambda: outside(Life().queued().deferred(), "Cancelled"),
    "cancel retrying": lambda: outside(running().retried(), "Cancelled"),
    "cancel waiting": lambda: outside(waiting(), "Cancelled"),
    "cancel running": lambda: outside(running(), "CancelRequested").by_holder("Cancelled"),
    "completed in spite of a cancel": lambda: outside(running(), "CancelRequested").completed(),
    "handed back with a cancel": lambda: outside(
        outside(running(), "CancelRequested").handed_back(), "Cancelled"
    ),
    "time-out": lambda: running().by_holder("TimedOut"),
    "no handler": lambda: Life().queued().then("Failed", worker_id="w1"),
    "ended before any claim": lambda: unstartable(Life().queued()),
    "ended before another claim": lambda: unstartable(running().handed_back()),
    "ended before any claim, redriven, ended again": lambda: unstartable(
        outside(unstartable(Life().queued()), "Redriven")
    ),
    "redriven twice": lambda: (
        outside(outside(ended(State.FAILED), "Redriven").started().by_holder("Failed"), "Redriven")
        .started("w5")
        .completed()
    ),
    "dismissed, then redriven": lambda: (
        outside(outside(ended(State.TIMED_OUT), "Dismissed"), "Redriven").started().completed()
    ),
    "cancelled, then redriven": lambda: outside(ended(State.CANCELLED), "Redriven"),
    "still running": running,
    "still waiting": waiting,
    "still retrying": lambda: running().retried(),
}


@pytest.mark.parametrize("kind", LEGAL)
def test_a_legal_life_breaks_no_rule(kind: str) -> None:
    check = HistoryCheck().check(LEGAL[kind]().events)
    assert (check.violations, check.notes) == ([], [])


def late_step(**fields: object) -> Callable[[], Life]:
    """Five rows, the fourth of which, a step, is changed."""
    return lambda: running().step(1).step(2).completed().tampered(4, **fields)


def early_start() -> Life:
    life = running().retried(60).started()
    return life.tampered(5, occurred_at=life.head.occurred_at - 30 * SECOND)


def same_id_twice() -> Life:
    life = running().step().completed()
    return life.tampered(4, event_id=life.events[1].event_id)


def over_the_maximum() -> Life:
    return running().retried().started().tampered(5, max_attempts=1)


def salted_again() -> Life:
    life = running().completed().erased()
    life.events[1] = replace(life.events[1], message="put back")
    return life


def without_erasure() -> Life:
    life = running().completed()
    life.events[1] = life.events[1].without_values()
    return life


def redriven_after_erasure() -> Life:
    life = running().by_holder("Failed")
    change = Change(kind=Status.REDRIVEN)
    redriven = draft(life.head, life.facts, change, occurred_at=life.now + 2 * SECOND)
    erased = life.erased().head
    after = replace(redriven.after, sequence=5, lifecycle_before=4)
    life.events.append(chained(erased, replace(redriven, after=after)))
    return life


BROKEN: dict[str, tuple[int, Callable[[], Life]]] = {
    "a value without its salt": (12, salted_again),
    "values that are gone without an erasure": (12, without_erasure),
    "a redrive after an erasure": (3, redriven_after_erasure),
    "a row is missing": (1, lambda: running().step(1).step(2).completed().without(3)),
    "the first row is missing": (1, lambda: running().step().completed().without(1)),
    "the start is missing": (1, lambda: running().step().completed().without(2)),
    "the numbering jumps": (1, lambda: running().step().tampered(3, sequence=9)),
    "a sequence is negative": (1, lambda: running().step().tampered(3, sequence=-3)),
    "wrong state": (2, late_step(state=State.WAITING)),
    "wrong attempt count": (2, late_step(attempts_used=1)),
    "wrong attempt": (2, late_step(attempt=2)),
    "wrong claim holder": (2, late_step(worker_id="w2")),
    "due time where none belongs": (2, lambda: running().tampered(2, due_at=Life().now)),
    "due time taken away": (2, lambda: running().retried().tampered(4, due_at=None)),
    "cancel flag out of nothing": (2, late_step(cancel_requested=True)),
    "incarnation out of nothing": (2, late_step(incarnation=2)),
    "a step passed off as a lifecycle event": (
        2,
        lambda: running().step().completed().tampered(4, lifecycle_before=3),
    ),
    "a lifecycle event left out": (
        2,
        lambda: running().retried().tampered(4, lifecycle_before=2),
    ),
    "sent while running": (2, late_step(sent=True)),
    "ended by its state alone": (2, lambda: running().tampered(2, state=State.COMPLETED)),
    "waits, then starts": (3, lambda: waiting().inserted(3, "Started")),
    "retry without a failure": (3, lambda: running().step().tampered(3, status="RetryScheduled")),
    "begins in the middle": (3, lambda: Life().queued().tampered(1, status="Step 1")),
    "failure without its retry": (3, lambda: running().retried().without(4)),
    "takeover without its start": (3, lambda: running().taken_over_and_started().without(4)),
    "unknown status": (3, late_step(status="Exploded")),
    "a step without a number": (3, late_step(status="Step ?")),
    "dismissed though it completed": (
        3,
        lambda: ended(State.COMPLETED).inserted(3, "Dismissed"),
    ),
    "two terminal events": (4, lambda: ended(State.COMPLETED).inserted(3, "Completed")),
    "another ending": (4, lambda: ended(State.COMPLETED).inserted(3, "Failed")),
    "a step after the end": (4, lambda: ended(State.CANCELLED).inserted(3, "Step 3")),
    "epoch falls": (5, late_step(epoch=0)),
    "epoch rises at a step": (5, late_step(epoch=2)),
    "epoch jumps at a claim": (5, lambda: running().tampered(2, epoch=2)),
    "epoch stands still at a claim": (
        5,
        lambda: running().retried().started().tampered(5, epoch=1),
    ),
    "a foreign worker writes a step": (6, late_step(writer="w2")),
    "a step without a worker": (6, late_step(writer=None)),
    "a foreign worker ends it": (6, lambda: ended(State.COMPLETED).tampered(3, writer="w2")),
    "a foreign worker sends": (6, lambda: waiting().sent().tampered(4, writer="w2")),
    "ended as before any claim, under another worker's claim": (
        6,
        lambda: unstartable(running(), "w9"),
    ),
    "ended before any claim, and completed": (
        4,
        lambda: unstartable(Life().queued()).inserted(2, "Completed"),
    ),
    "an attempt used before any claim": (
        2,
        lambda: unstartable(Life().queued()).tampered(2, attempts_used=1),
    ),
    "an epoch of nobody's claim": (5, lambda: unstartable(Life().queued()).tampered(2, epoch=1)),
    "nobody claims": (6, lambda: running().tampered(2, writer=None, worker_id=None)),
    "one event id twice": (7, same_id_twice),
    "attempt over the maximum": (8, over_the_maximum),
    "start before due": (8, early_start),
    "claimed under a strange lock": (9, lambda: running().tampered(2, lock="job/zz/other")),
    "claimed under another worker's lock": (
        9,
        lambda: running().tampered(2, lock="worker/somebody else-1"),
    ),
    "claimed under a worker's lock without a generation": (
        9,
        lambda: running().tampered(2, lock="worker/w1-"),
    ),
    "a worker's lock claimed again after it was left": (
        9,
        lambda: (
            running()
            .retried()
            .started()
            .tampered(2, lock=worker_lock("w1", 2))
            .tampered(3, lock=worker_lock("w1", 2))
            .tampered(4, lock=worker_lock("w1", 2))
            .tampered(5, lock=worker_lock("w1", 1))
        ),
    ),
    "a job with a lock key on its worker's lock": (
        9,
        lambda: Life(lock_key="k").queued().started().tampered(2, lock=worker_lock("w1", 1)),
    ),
    "a turn under a worker's lock": (
        9,
        lambda: running().tampered(2, lock=worker_lock("w1", 1), lock_turn=1),
    ),
    "no turn under a lock key": (
        9,
        lambda: Life(lock_key="k").queued().started().tampered(2, lock_turn=None),
    ),
    "turn falls within a job": (
        9,
        lambda: Life(lock_key="k").queued().started(turn=5).retried().started(turn=4),
    ),
    "completed without a start": (10, lambda: Life().queued().inserted(1, "Completed")),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_trail_broken_on_purpose_breaks_exactly_that_rule(damage: str) -> None:
    rule, broken = BROKEN[damage]
    assert rules_broken(broken()) == {rule}


def test_every_rule_of_one_job_is_broken_by_some_trail() -> None:
    assert {rule for rule, _ in BROKEN.values()} == set(RULES) - {11, 13, 14}


def test_a_wrong_row_is_named_once_and_with_what_is_wrong() -> None:
    life = running().step(1).step(2).step(3).completed().tampered(4, attempts_used=7)
    (violation,) = verify_job(life.events)
    assert (violation.sequence, violation.event_id) == (4, life.events[3].event_id)
    assert "attempts_used is 7, not 0" in violation.message


def test_a_wrong_value_that_stays_is_named_twice_at_most() -> None:
    life = running()
    for number in range(9):
        life.step(number)
    for sequence in range(4, 11):
        life.tampered(sequence, takeovers=3)
    assert [v.sequence for v in verify_job(life.events)] == [4, 5, 11]


def test_changed_facts_of_a_job_are_a_wrong_fold() -> None:
    life, other = running().step(), Life(lock_key="other")
    life.events[1:] = [replace(event, facts=other.facts) for event in life.events[1:]]
    assert 2 in rules_broken(life)


def test_a_zombie_of_an_older_epoch_is_named() -> None:
    life = running().taken_over_and_started("w2").step().completed()
    assert {5, 6} <= rules_broken(life.tampered(5, epoch=1, writer="w1", worker_id="w1"))


def test_garbage_in_a_row_is_a_violation_and_the_rest_is_still_checked() -> None:
    life = running().step(1).step(2).step(3).completed()
    life.tampered(3, status="?", state="nonsense", epoch=None).tampered(6, attempt=5)
    assert {(v.rule, v.sequence) for v in verify_job(life.events)} == {(3, 3), (2, 6)}


def test_a_row_that_no_codec_can_read_is_a_violation_with_its_reason() -> None:
    life = running().step(1).step(2).completed()
    life.events[2] = Event.unreadable(life.facts.job_id, 3, "column State holds 'nonsense'")
    (violation,) = verify_job(life.events)
    assert (violation.rule, violation.sequence) == (3, 3)
    assert "column State holds 'nonsense'" in violation.message


def test_a_state_that_does_not_exist_is_a_violation() -> None:
    assert rules_broken(running().step().tampered(3, state="nonsense")) == {2}


def test_nothing_stored_breaks_nothing() -> None:
    assert verify_job([]) == []


def test_an_early_start_is_only_noted_where_the_clock_fell_between_the_rows() -> None:
    life = running().retried(60).started()
    life.tampered(5, occurred_at=life.events[3].occurred_at - timedelta(minutes=10))
    check = HistoryCheck().check(life.events)
    assert check.violations == []
    assert "clock" in check.notes[0].message


def test_a_start_early_by_the_skew_of_two_clocks_is_only_noted() -> None:
    life = running().retried(60).started("w2")
    life.tampered(5, occurred_at=life.head.occurred_at - timedelta(seconds=1.3))
    check = HistoryCheck().check(life.events)
    assert check.violations == []
    assert len(check.notes) == 1


def test_a_start_early_by_its_own_clock_counts() -> None:
    life = running().retried(60).started("w1")
    life.tampered(5, occurred_at=life.head.occurred_at - timedelta(seconds=1.3))
    assert rules_broken(life) == {8}


def verified(*lives: Life) -> Verifier:
    verifier = Verifier()
    for life in lives:
        verifier.add(life.events)
    verifier.finish()
    return verifier


def test_the_verifier_counts_jobs_and_events_and_finds_nothing_in_legal_lives() -> None:
    verifier = verified(*(build() for kind, build in LEGAL.items() if "lone" not in kind))
    assert verifier.jobs == len(LEGAL) - 3
    assert verifier.events > 100
    assert verifier.violations.total == verifier.notes.total == 0


def test_an_event_id_in_two_jobs_is_found_and_both_are_named() -> None:
    one, two = running().completed(), running().completed()
    two.tampered(3, event_id=one.events[1].event_id)
    (violation,) = verified(one, two).violations.kept
    assert (violation.rule, violation.job_id, violation.sequence) == (7, two.facts.job_id, 3)
    assert f"{one.facts.job_id}, event 2" in violation.message


def test_what_is_found_in_each_job_is_in_the_verdict() -> None:
    verifier = verified(running().step().without(2), running().step().tampered(3, takeovers=1))
    assert [v.rule for v in verifier.violations.kept] == [1, 2]


def test_a_ruined_trail_is_counted_but_not_kept_whole() -> None:
    verifier = Verifier(keep=3)
    for _ in range(10):
        verifier.add(running().tampered(2, takeovers=1).events)
    assert len(verifier.finish()) == 3
    assert verifier.violations.total == 10


def test_a_violation_in_json_names_job_event_and_rule() -> None:
    life = running().tampered(2, takeovers=1)
    (violation,) = verify_job(life.events)
    assert violation.to_json() == {
        "rule": 2,
        "jobId": life.facts.job_id,
        "sequence": 2,
        "eventId": life.head.event_id,
        "message": "after Started: takeovers is 1, not 0",
    }
