"""A job tells its limits, and what it holds or waits for, wherever it is shown."""

from __future__ import annotations

from jobfleet_contracts.event import HeldLock
from jobfleet_contracts.lease import key_locks, limit_lock
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

KEY = "customer-7"


async def test_a_running_job_shows_what_it_holds_and_a_deferred_one_what_it_waits_for(
    client: AsgiClient, life: Life
) -> None:
    running = await submit(client, jobName="runs", lockKey=KEY, limits=["api-crm"])
    claim = Change(
        kind=Status.STARTED,
        worker_id=WORKER,
        lock=key_locks(KEY, 1)[0],
        locks=(HeldLock(limit_lock("api-crm", 4), 1), HeldLock(limit_lock("of-handler", 1), 1)),
    )
    await life.write(running, claim)
    waiting = await submit(client, jobName="waits", limits=["api-crm"])
    data = {"reason": "limit", "limit": "api-crm"}
    await life.write(waiting, Change(kind=Status.DEFERRED, data=data))
    rows = (await client.get("/api/jobs", view="jobs")).json["items"]
    listed = {row["jobId"]: row for row in rows}
    limit = {"kind": "limit", "name": "api-crm", "slot": 4}
    for job in ((await client.get(f"/api/jobs/{running}")).json, listed[running]):
        key, *limits = job["holds"]
        assert (key["name"], limits[0], job["waitsFor"]) == (KEY, limit, None)
    one = (await client.get(f"/api/jobs/{running}")).json
    assert one["limits"] == ["api-crm", "of-handler"]
    other = (await client.get(f"/api/jobs/{waiting}")).json
    for job in (other, listed[waiting]):
        assert (job["holds"], job["waitsFor"]) == ([], limit | {"slot": None})
    assert other["limits"] == ["api-crm"]
    page = (await client.get("/jobs")).body.decode()
    assert "limit api-crm, slot 4" in page
    assert "waits for limit api-crm" in page
    for job_id, sentence in ((running, "limit api-crm, slot 4"), (waiting, "limit api-crm")):
        text = (await client.get(f"/jobs/{job_id}")).body.decode()
        assert sentence in text
        assert 'href="/locks"' in text
