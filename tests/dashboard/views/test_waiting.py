"""Why a job has not started, on its page and in the API."""

from __future__ import annotations

from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit


async def test_page_and_api_say_why_a_job_waits_and_nothing_of_one_that_runs(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    assert (await client.get(f"/api/jobs/{job_id}/waiting")).json["items"] == [
        {"kind": "noWorker", "text": "No live worker serves queue default."}
    ]
    await client.post("/api/queues/default/pause", {"reason": "closing <b>the books</b>"})
    page = (await client.get(f"/jobs/{job_id}/waiting")).body.decode()
    assert "Queue default paused by" in page
    assert "closing &lt;b&gt;the books" in page
    assert f'hx-get="/jobs/{job_id}/waiting"' in (await client.get(f"/jobs/{job_id}")).body.decode()
    await life.start(job_id)
    assert (await client.get(f"/api/jobs/{job_id}/waiting")).json["items"] == []
    assert (await client.get(f"/jobs/{job_id}/waiting")).status == 200
