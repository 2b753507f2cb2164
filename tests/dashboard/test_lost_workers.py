"""A worker that fell silent is listed, without the jobs that it has lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

HTML = {"Accept": "text/html"}
OTHER = "01a00000-0000-7000-8000-0000000000bb"


async def test_a_killed_workers_jobs_are_its_own_only_until_they_are_taken_over(
    backend: Backend, client: AsgiClient, life: Life
) -> None:
    names = ("kept", "taken", "ended")
    kept, taken, ended = [await submit(client, jobName=name) for name in names]
    for job_id in (kept, taken, ended):
        await life.start(job_id)
    lost = Change(kind=Status.TAKEN_OVER, worker_id=OTHER, continues=True)
    again = Change(kind=Status.STARTED, worker_id=OTHER, lock="job/x")
    await life.write(taken, lost, again)
    await life.complete(ended)
    jobs = zip((kept, taken, ended), names, strict=True)
    silent = WorkerStatus(
        worker_id=WORKER,
        host="host-7",
        heartbeat_at=datetime.now(UTC) - timedelta(minutes=30),
        slots=10,
        running=tuple(
            RunningJob(job_id=job_id, job_name=name, lease_seconds_left=41) for job_id, name in jobs
        ),
    )
    await backend.directory.beat(silent)
    (worker,) = (await client.get("/api/workers")).json["items"]
    assert [job["jobId"] for job in worker["running"]] == [kept]
    page = await look(client, "/workers")
    assert f'id="w-{WORKER}"' in page
    assert (">kept</a>" in page, ">taken</a>" in page, ">ended</a>" in page) == (True, False, False)
    assert f'href="/workers/{WORKER}"' in await look(client, "/")
    assert "lease good for" not in await look(client, f"/jobs/{taken}")


async def look(client: AsgiClient, path: str) -> str:
    return (await client.request("GET", path, headers=HTML)).body.decode()
