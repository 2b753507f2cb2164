"""What one worker did: alive, stopped, gone or taken over; its page, and what the API says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import EndedRun, RunningJob, WorkerStatus
from jobfleet_protocol.reading.worker_record import MOST_LOST_JOBS
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

HTML = {"Accept": "text/html"}
OTHER = new_id()
ALIVE_FOR = timedelta(hours=30)


def _status(now: datetime, **changes: Any) -> WorkerStatus:
    run = EndedRun(
        job_id=new_id(),
        job_name="<b>done</b>",
        job_type="mail.send",
        attempt=2,
        started_at=now - timedelta(seconds=9),
        ended_at=now,
        ended="retrying",
    )
    status = WorkerStatus(
        worker_id=WORKER,
        host="host-7",
        started_at=now - ALIVE_FOR,
        heartbeat_at=now,
        slots=10,
        types=("mail.send",),
        runs=1200,
        failures=7,
        fenced=1,
        recent=(run,),
    )
    return replace(status, **changes)


async def _take_over(client: AsgiClient, life: Life, name: str) -> str:
    job_id = await submit(client, jobName=name)
    await life.start(job_id)
    taken = Change(kind=Status.TAKEN_OVER, worker_id=OTHER, continues=True, data=lost_by(WORKER))
    await life.write(job_id, taken, Change(kind=Status.STARTED, worker_id=OTHER, lock="job/x"))
    return job_id


async def _page(client: AsgiClient) -> str:
    return (await client.request("GET", f"/workers/{WORKER}", headers=HTML)).body.decode()


@pytest.mark.parametrize(
    ("changes", "condition", "since_ago", "words"),
    [
        ({}, "alive", ALIVE_FOR, "alive"),
        ({"draining": True}, "draining", ALIVE_FOR, "takes no new jobs"),
        ({"stopped_at": timedelta()}, "stopped", timedelta(), "stopped in good order"),
        (
            {"heartbeat_at": timedelta(days=6)},
            "gone",
            timedelta(days=6),
            "nothing was heard of it",
        ),
    ],
)
async def test_a_workers_condition_and_since_when(
    client: AsgiClient,
    backend: Backend,
    changes: dict[str, Any],
    condition: str,
    since_ago: timedelta,
    words: str,
) -> None:
    now = datetime.now(UTC)  # not when the module was read: a long session would find all gone
    changes = {k: now - v if isinstance(v, timedelta) else v for k, v in changes.items()}
    await backend.directory.beat(_status(now, **changes))
    found = (await client.get(f"/api/workers/{WORKER.upper()}")).json
    assert (found["condition"], found["since"]) == (condition, format_time(now - since_ago))
    assert (found["runs"], found["failures"], found["fenced"]) == (1200, 7, 1)
    assert [run["ended"] for run in found["recent"]] == ["retrying"]
    page = await _page(client)
    assert words in page
    assert "1,200" in page
    assert "&lt;b&gt;done&lt;/b&gt;" in page


async def test_a_silent_worker_whose_jobs_were_taken_over_names_them_and_who_has_them(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    taken = await _take_over(client, life, "taken")
    now = datetime.now(UTC)
    silent_since = now - timedelta(minutes=90)
    running = (RunningJob(job_id=taken, job_name="taken"),)
    await backend.directory.beat(_status(now, heartbeat_at=silent_since, running=running))
    found = (await client.get(f"/api/workers/{WORKER}")).json
    assert (found["condition"], found["running"]) == ("takenOver", [])
    (loss,) = found["takeovers"]
    assert (loss["jobId"], loss["byWorkerId"], loss["attempt"]) == (taken, OTHER, 1)
    assert found["since"] == loss["at"] > format_time(silent_since)
    assert (await client.get("/api/workers")).json["items"] == []
    page = await _page(client)
    assert f'href="/jobs/{taken}"' in page
    assert f'href="/workers/{OTHER}"' in page
    (row,) = (await client.get("/api/jobs", view="jobs", q=f"lostby:{WORKER}")).json["items"]
    assert row["jobId"] == taken


async def test_a_worker_that_lives_on_after_it_lost_a_job_is_alive(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    await _take_over(client, life, "taken")
    await backend.directory.beat(_status(datetime.now(UTC)))
    found = (await client.get(f"/api/workers/{WORKER}")).json
    assert (found["condition"], len(found["takeovers"])) == ("alive", 1)


async def test_of_many_lost_jobs_the_last_are_shown_and_a_search_finds_all(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    for number in range(MOST_LOST_JOBS + 1):
        await _take_over(client, life, f"job {number}")
    await backend.directory.beat(_status(datetime.now(UTC)))
    found = (await client.get(f"/api/workers/{WORKER}")).json
    assert (len(found["takeovers"]), found["moreTakeovers"]) == (MOST_LOST_JOBS, True)
    assert f"/jobs?q=lostby%3A{WORKER}" in await _page(client)


async def test_a_worker_that_nobody_heard_of_is_not_found(client: AsgiClient) -> None:
    answer = await client.get(f"/api/workers/{OTHER}")
    assert (answer.status, answer.json["detail"]) == (
        404,
        f"no worker {OTHER} was heard of within seven days",
    )
    assert (await client.request("GET", f"/workers/{OTHER}", headers=HTML)).status == 404
    assert (await client.get("/api/workers/w1")).status == 404
