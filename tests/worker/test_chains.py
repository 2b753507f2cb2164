"""Jobs that follow a job: which of them run, what they are handed, and after which failures."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.state import State
from jobfleet_protocol.actions import successors
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_publisher import Publisher, Then
from jobfleet_worker import Fail, JobContext, handler
from tests.worker.workshop import DEFAULTS, Workshop

called: list[Any] = []


class Rows(BaseModel):
    rows: list[int]
    title: str = "untitled"


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    called.clear()


@handler("load")
async def load(payload: int) -> list[int]:
    if payload < 0:
        raise Fail("no rows")
    return list(range(payload))


@handler("report", queue="reports", max_attempts=7)
async def report(payload: Rows, context: JobContext) -> int:
    called.append((payload, context.job.payload))
    return sum(payload.rows)


@handler("report.locked", lock_key=lambda payload: f"rows-{len(payload.rows)}")
async def locked_report(payload: Rows) -> int:
    called.append(payload)
    return len(payload.rows)


@handler("note")
async def note(payload: dict[str, Any]) -> None:
    called.append(payload)


HANDLERS = (load, report, locked_report, note)


async def test_a_job_follows_with_the_result_of_the_job_before(workshop: Workshop) -> None:
    """Three jobs in a row; the last one runs whatever came of those before."""
    workshop.start_worker(*HANDLERS, queues=("default", "reports"))
    async with Publisher(
        backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS
    ) as publisher:
        step = report.then({"title": "June"}, results={"rows": "previous"}).followed_by(
            note.then({}, when="always", results={"total": "previous"}, name="the end")
        )
        job = await publisher.submit("load", 4, then=[step])
    ended = await workshop.until_ended(successor_id(job.job_id, 0, 1))
    assert (ended.after.state, ended.facts.queue) == (State.COMPLETED, "reports")
    assert ended.after.max_attempts == 7
    last = await workshop.until_ended(successor_id(ended.job_id, 0, 1))
    assert last.facts.job_name == "the end"
    whole = {"title": "June", "rows": [0, 1, 2, 3]}
    assert called == [(Rows(rows=[0, 1, 2, 3], title="June"), whole), {"total": 6}]


async def test_which_jobs_follow_depends_on_how_the_job_ended(workshop: Workshop) -> None:
    workshop.start_worker(*HANDLERS)
    steps = [
        {"type": "note", "payload": {"when": when}, "when": when}
        for when in ("success", "failure", "always")
    ]
    for payload, runs in ((1, [0, 2]), (-1, [1, 2])):
        job = await workshop.run("load", payload, then=steps)
        for number in runs:
            await workshop.until_state(successor_id(job.job_id, number, 1), State.COMPLETED)
        (other,) = {0, 1, 2} - set(runs)
        assert await workshop.real.trail.newest(successor_id(job.job_id, other, 1)) is None
    assert sorted(each["when"] for each in called) == ["always", "always", "failure", "success"]


async def test_each_incarnation_has_successors_of_its_own(workshop: Workshop) -> None:
    workshop.start_worker(*HANDLERS)
    job = await workshop.run("load", -1, then=[{"type": "note", "payload": {}, "when": "always"}])
    await workshop.redriver.redrive(job.job_id, by="test")
    for incarnation in (1, 2):
        await workshop.until_state(successor_id(job.job_id, 0, incarnation), State.COMPLETED)


async def test_the_key_of_a_lock_is_made_from_what_is_handed_on(workshop: Workshop) -> None:
    workshop.start_worker(*HANDLERS)
    step = {"type": "report.locked", "results": {"rows": "previous"}}
    job = await workshop.run("load", 3, then=[step])
    ended = await workshop.until_ended(successor_id(job.job_id, 0, 1))
    started = next(e for e in await workshop.history(ended.job_id) if e.status == "Started")
    assert [held.lock for held in started.after.locks] == [key_lock("rows-3")]


@pytest.mark.parametrize("job_type", ["report", "report.locked"])
async def test_a_result_that_is_gone_fails_the_job_before_its_handler(
    workshop: Workshop, job_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = {"type": job_type, "results": {"rows": "previous"}}
    first = workshop.start_worker(load)
    job = await workshop.run("load", 3, then=[step])
    await first.stop()
    read = workshop.trail._port.history

    async def without_the_end(job_id: str, **page: Any) -> Any:
        found = await read(job_id, **page)
        return [event for event in found if job_id != job.job_id or event.sequence < 3]

    monkeypatch.setattr(workshop.trail._port, "history", without_the_end)
    workshop.start_worker(report, locked_report, queues=("default",))
    ended = await workshop.until_ended(successor_id(job.job_id, 0, 1))
    assert (ended.after.state, called) == (State.FAILED, [])
    assert ended.data["error"]["type"] == "ResultMissing"


@pytest.mark.parametrize("keys", [1, 100])
async def test_results_beyond_a_workers_memory_fail_the_job_before_its_handler(
    workshop: Workshop, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one, or one of which each of many keys would hold a copy."""
    monkeypatch.setattr(successors, "MOST_RESULT_BYTES", 200)
    workshop.start_worker(load, note)
    step = {"type": "note", "results": {f"rows{n}": "previous" for n in range(keys)}}
    job = await workshop.run("load", 100 // keys + 1, then=[step])
    ended = await workshop.until_ended(successor_id(job.job_id, 0, 1))
    assert (ended.after.state, called) == (State.FAILED, [])
    assert ended.data["error"]["type"] == "ResultsTooLarge"


async def test_successors_that_could_not_be_submitted_are_left_to_the_rescuer(
    workshop: Workshop,
) -> None:
    """The ending stands, the worker cannot write; the open row stays until all is done."""
    workshop.start_worker(*HANDLERS)
    workshop.index.lose_request("open")
    job = await workshop.submit("load", 1, then=[{"type": "note", "payload": {"n": 1}}])
    await workshop.until_state(successor_id(job, 0, 1), State.COMPLETED)
    assert called == [{"n": 1}]


async def test_nobody_but_jobfleet_says_what_a_job_follows(workshop: Workshop) -> None:
    """Else a submitter could have the result of any job handed to a job of theirs."""
    job = await workshop.submit("load", 1)
    for forged in (
        {"follows": {"jobId": job, "incarnation": 1}},
        {"results": {"rows": "previous"}},
    ):
        with pytest.raises(InvalidRequest, match="only jobfleet itself sets this field"):
            await workshop.submit("report", {}, **forged)


def test_a_payload_for_later_is_checked_where_it_is_whole() -> None:
    assert Then(type="a").to_json() == {"type": "a"}
    with pytest.raises(InvalidRequest, match=r"payload\.rows"):
        report.then({"title": "no rows"})


async def test_an_address_that_the_job_before_hands_on_is_checked_when_it_is_called(
    workshop: Workshop,
) -> None:
    """At the submit, the address is not known yet."""

    @handler("give.address")
    async def give_address() -> str:
        return "http://169.254.169.254/latest/meta-data"

    workshop.start_worker(give_address)
    step = {
        "type": "http.request",
        "payload": {"payload": {"number": 1}},
        "results": {"targetUrl": "previous"},
        "maxAttempts": 1,
    }
    job_id = await workshop.submit("give.address", then=[step])
    head = await workshop.until_ended(successor_id(job_id, 0, incarnation=1))
    assert head.after.state is State.FAILED
    assert head.data["error"]["type"] == "TargetForbidden"
    assert "169.254.169.254" in head.message
