"""What the first screen says of the fleet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import JobFacts
from jobfleet_contracts.index import OpenRow, QueueDepth
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.control.pause_state import FleetPauses, Pause
from jobfleet_protocol.reading.fleet_verdict import (
    FleetFacts,
    FleetVerdict,
    TypeEndings,
    fleet_verdict,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def worker(**changes: Any) -> WorkerStatus:
    known: dict[str, Any] = {
        "worker_id": "01a00000-0000-7000-8000-0000000000aa",
        "host": "host-1",
        "heartbeat_at": NOW,
        "slots": 10,
        "queues": ("default",),
        "types": ("demo.steps",),
    }
    return WorkerStatus(**known | changes)


def waiting(queue: str = "default", seconds: float = 5, job_type: str = "demo.steps") -> OpenRow:
    facts = JobFacts.of(JobRequest(type=job_type, job_name="import", queue=queue))
    since = NOW - seconds * SECOND
    return OpenRow(facts, 1, State.QUEUED, 1, opened_at=since, updated_at=since)


def pause(**changes: Any) -> Pause:
    return Pause(
        subject=ControlSubject.QUEUE,
        name="default",
        sequence=1,
        by="nightops",
        since=NOW,
        until=None,
        reason="",
        **changes,
    )


def endings(bad: int, ended: int | None, job_type: str = "crm.sync") -> TypeEndings:
    since = NOW - timedelta(minutes=2)
    return TypeEndings(
        job_type=job_type, bad=bad, ended=ended, since=since, message="CRM did not answer"
    )


def judged(**facts: Any) -> FleetVerdict:
    return fleet_verdict(FleetFacts(**{"now": NOW, "workers": [worker()], **facts}))


def kinds(verdict: FleetVerdict) -> list[str]:
    return [problem.kind for problem in verdict.problems]


def test_a_living_fleet_without_trouble_is_well() -> None:
    verdict = judged(counts={State.RUNNING: 1}, ended=1000, ended_badly=3)
    assert (verdict.tone, verdict.problems) == ("good", ())
    assert verdict.summary == "1 worker is alive, 0 of 10 slots busy, 1 job open."


def test_a_fleet_whose_jobs_fail_is_not_well_and_says_which_and_why() -> None:
    verdict = judged(ended=1_210, ended_badly=1_200, failing=[endings(1_200, 1_203)])
    assert (verdict.tone, kinds(verdict)) == ("bad", ["failing"])
    (problem,) = verdict.problems
    assert problem.text == "crm.sync: 1,200 of 1,203 failed in 2 min: CRM did not answer"
    assert problem.link == "/errors?range=15m&type=crm.sync"


@pytest.mark.parametrize(
    ("ended", "badly", "of_type", "bad"),
    [
        (9, 9, (9, 9), False),
        (10, 1, (1, 1), False),
        (10, 2, (2, 2), True),
        (1_000, 100, (100, 500), False),
        (1_000, 10, (10, 10), True),
        (1_000, 9, (9, 9), False),
        (1_000, 10, (10, 11), False),
        (1_000, 10, (10, None), False),
    ],
)
def test_a_tenth_of_ten_endings_or_a_whole_type_is_bad(
    ended: int, badly: int, of_type: tuple[int, int | None], bad: bool
) -> None:
    verdict = judged(ended=ended, ended_badly=badly, failing=[endings(*of_type)])
    assert (verdict.tone == "bad") is bad


def test_failures_are_told_even_where_their_types_are_not_known() -> None:
    assert kinds(judged(ended=20, ended_badly=20)) == ["failing"]


def test_a_fleet_without_workers_is_bad_news_only_where_jobs_wait() -> None:
    idle, bad = judged(workers=[]), judged(workers=[], counts={State.QUEUED: 5})
    assert (idle.tone, kinds(bad)) == ("idle", ["nobody"])
    assert bad.problems[0].text.startswith("Nobody works: no worker is alive and 5 jobs are not")


def test_a_queue_that_nobody_serves_is_named_however_short_its_jobs_wait() -> None:
    verdict = judged(longest_queued={"mail": waiting("mail")})
    assert kinds(verdict) == ["unserved"]
    assert verdict.problems[0].link == "/jobs?queue=mail"
    # Messages of jobs that were cancelled stay in a queue until a worker takes them.
    assert kinds(judged(depths=[QueueDepth("mail", "low", 3)])) == []


def test_a_type_without_a_handler_is_named() -> None:
    verdict = judged(deferred_types={"demo.steps": 3, "no.such": 1})
    assert [problem.link for problem in verdict.problems] == ["/jobs?type=no.such"]


def test_a_long_wait_tells_whether_slots_are_free_in_that_queue() -> None:
    busy = [worker(slots=0), worker(worker_id="other", queues=("mail",))]
    verdict = judged(workers=busy, longest_queued={"default": waiting(seconds=101)})
    assert kinds(verdict) == ["waiting"]
    assert verdict.problems[0].text.endswith("1 min 41 s; all slots are busy (0 of 0).")


def test_jobs_of_a_paused_queue_do_not_wait_for_slots() -> None:
    pauses = FleetPauses(queues={"default": pause()})
    verdict = judged(pauses=pauses, longest_queued={"default": waiting(seconds=900)})
    assert kinds(verdict) == ["paused"]
    assert verdict.problems[0].text == "Queue default is paused by nightops."


def test_circuits_schedules_and_silent_workers_are_told_with_their_places() -> None:
    silent = worker(worker_id="gone", heartbeat_at=NOW - 90 * SECOND)
    stopped = replace(silent, worker_id="stopped", stopped_at=NOW)
    cut_off = worker(open_circuits=("crm:443",))
    late = {"nightly": NOW - timedelta(minutes=7)}
    verdict = judged(workers=[cut_off, silent, stopped], late=late)
    assert verdict.tone == "warning"
    assert [(problem.kind, problem.link) for problem in verdict.problems] == [
        ("circuit", "/workers"),
        ("late", "/schedules/nightly"),
        ("silent", "/workers/gone"),
    ]


def test_a_broker_that_is_away_comes_first_among_several_problems() -> None:
    verdict = judged(
        broker="connection refused",
        longest_queued={"mail": waiting("mail")},
        pauses=FleetPauses(queues={"default": pause()}),
        late={"nightly": NOW - timedelta(minutes=7)},
    )
    assert kinds(verdict) == ["broker", "unserved", "late", "paused"]
    assert verdict.tone == "bad"


def test_many_problems_of_one_kind_are_counted() -> None:
    late = {f"n{number}": NOW - timedelta(minutes=number) for number in range(1, 31)}
    verdict = judged(late=late)
    assert len(verdict.problems) == 5
    assert verdict.problems[-1].text.endswith("And 25 more like this.")


def test_no_planted_credential_is_shown() -> None:
    secret = "Authorization: Bearer abcdefghijklmnop"
    verdict = judged(broker=secret)
    assert "abcdefghijklmnop" not in str(verdict.to_json())


def test_a_failing_type_names_its_other_errors_or_how_many_they_are() -> None:
    for others, expected in (
        ((), "CRM did not answer"),
        (("ValueError",), "CRM did not answer; also ValueError"),
        (("ValueError", "KeyError"), "CRM did not answer; and 2 more errors"),
    ):
        failing = [replace(endings(12, 12), others=others)]
        text = judged(ended=12, ended_badly=12, failing=failing).problems[0].text
        assert text == f"crm.sync: 12 of 12 failed in 2 min: {expected}"
