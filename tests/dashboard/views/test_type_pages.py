"""Which jobs are slow: the page of types, and what the API says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.reading.type_list import SORTS, SPANS
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

_ROW = re.compile(r'<a href="/jobs\?type=([a-z.]+)" data-open>')


async def _run(
    client: AsgiClient, life: Life, job_type: str, ran: int, *, status: Status = Status.COMPLETED
) -> str:
    job_id = await submit(client, type=job_type, jobName=f"{job_type} <b>job</b>")
    claim = Change(kind=Status.STARTED, worker_id=WORKER, lock="job/x", duration_ms=ran // 10)
    await life.write(job_id, claim)
    await life.write(job_id, Change(kind=status, worker_id=WORKER, duration_ms=ran))
    return job_id


@pytest.fixture
async def slow_job(client: AsgiClient, life: Life, backend: Backend) -> str:
    """A type that is slow, one that fails and one that is fast; the id of the slowest job."""
    slowest = await _run(client, life, "slow.one", 90_000)
    for _ in range(3):
        await _run(client, life, "fast.one", 10)
    await _run(client, life, "bad.one", 200, status=Status.FAILED)
    await _run(client, life, "bad.one", 100)
    await backend.index.flush()
    return slowest


async def _items(client: AsgiClient) -> dict[str, Any]:
    return {item["type"]: item for item in (await client.get("/api/types")).json["items"]}


async def test_each_type_tells_how_many_ended_failed_waited_and_ran(
    client: AsgiClient, slow_job: str
) -> None:
    items = await _items(client)
    for span in ("lastHour", "lastDay"):
        bad, fast, slow = (items[name][span] for name in ("bad.one", "fast.one", "slow.one"))
        assert (bad["ended"], bad["failed"], bad["failureShare"]) == (2, 1, 0.5)
        assert (fast["ended"], fast["failureShare"]) == (3, 0)
        assert fast["running"] == {"count": 3, "p50Ms": 10, "p95Ms": 10, "p99Ms": 10}
        assert abs(slow["running"]["p95Ms"] - 90_000) <= 4_500
        assert abs(slow["waiting"]["p50Ms"] - 9_000) <= 450
        assert bad["endedPerMinute"] > 0
    first, *others = (await client.get("/api/types")).json["slowest"]
    assert (first["jobId"], first["durationMs"], first["type"]) == (slow_job, 90_000, "slow.one")
    assert len(others) == 5


async def test_the_page_sorts_by_each_column_and_names_the_slowest_jobs(
    client: AsgiClient, slow_job: str
) -> None:
    expected = {"name": "bad.one", "ended": "fast.one", "failed": "bad.one"}
    for span in SPANS:
        for sort in SORTS:
            page = (await client.get("/types", span=span, sort=sort)).body.decode()
            assert _ROW.findall(page)[0] == expected.get(sort, "slow.one")
            assert page.count("aria-sort") == 1
    page = (await client.get("/types", span="x", sort="y")).body.decode()
    assert _ROW.findall(page)[0] == "slow.one"
    assert page.index(f'href="/jobs/{slow_job}"') < page.index("fast.one &lt;b&gt;job&lt;/b&gt;")
    assert 'href="/errors?range=1h&amp;type=bad.one"' in page
    assert "50.0 %" in page


async def test_the_page_names_what_runs_longest_on_live_workers_and_no_more_than_twenty(
    client: AsgiClient, backend: Backend
) -> None:
    now = datetime.now(UTC)
    running = tuple(
        RunningJob(
            job_id=f"018f0000-0000-7000-8000-{number:012}",
            job_name=f"job {number:02}",
            job_type="slow.one",
            attempt=1,
            started_at=now - timedelta(minutes=number),
        )
        for number in range(25)
    )
    for worker_id, silent, jobs in (
        (WORKER, -1, running[:24]),  # a minute ahead: a busy machine may be silent for 15 s
        (f"{WORKER[:-1]}9", 9, running[24:]),
    ):
        await backend.directory.beat(
            WorkerStatus(
                worker_id=worker_id,
                host="host-1",
                heartbeat_at=now - timedelta(minutes=silent),
                slots=30,
                running=jobs,
            )
        )
    page = (await client.get("/types")).body.decode()
    named = re.findall(r"data-open>(job \d+)</a>", page)
    assert named == [f"job {number:02}" for number in range(23, 3, -1)]
