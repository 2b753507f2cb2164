"""What stands beside a job's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_dashboard.views.job.job_facts import Fact, job_facts
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.reading.job_record import JobRecord
from tests.dashboard.views.story import failed, life, started


def facts_of(*changes: Any, **fields: Any) -> tuple[Mapping[str, Fact], Event]:
    events = life(*changes, **fields)
    record = JobRecord(newest=events[-1], request=request_of(events[0]), events=events)
    return {fact.name: fact for fact in job_facts(record)}, events[-1]


def test_an_ended_job_leads_to_the_job_that_delivers_its_callback_and_that_one_back() -> None:
    asked = "https://third.example/results"
    before, _ = facts_of(callbackUrl=asked)
    after, newest = facts_of((0, started()), (1, failed()), callbackUrl=asked)
    assert "callback job" not in before
    assert (after["callback job"].href or "").startswith("/jobs/")
    back, _ = facts_of(type="callback.deliver", payload={"jobId": newest.job_id})
    assert back["delivers result of"].href == f"/jobs/{newest.job_id}"


def test_a_payload_that_names_no_job_leads_nowhere() -> None:
    payloads: tuple[Any, ...] = (None, [], {"jobId": 7}, {"jobId": "../login"})
    for payload in payloads:
        facts, _ = facts_of(type="callback.deliver", payload=payload)
        assert "delivers result of" not in facts


def test_a_lock_key_leads_to_the_jobs_that_name_it() -> None:
    facts, _ = facts_of(lockKey="a&b=c")
    assert facts["lock key"].href == "/jobs?lock=a%26b%3Dc"


def test_a_job_that_may_not_start_again_says_so() -> None:
    plain, _ = facts_of()
    asked, _ = facts_of(onLost="fail")
    assert "if its worker is lost" not in plain
    assert asked["if its worker is lost"].text == "the job fails"
