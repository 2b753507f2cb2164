"""What a page asks before it acts on all that a filter finds."""

from __future__ import annotations

from urllib.parse import urlencode

from jobfleet_contracts.backend import Backend
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit

FORM = {"content-type": "application/x-www-form-urlencoded"}
ALL_FAILED = {"action": "dismiss", "all": "1", "filter.state": "failed"}


async def test_who_dismisses_all_of_a_filter_is_asked_about_those_not_dismissed_yet(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    jobs = [await submit(client, jobName=f"failed {number}") for number in (1, 2)]
    for job_id in jobs:
        await life.start(job_id)
        await life.fail(job_id)
    await client.post(f"/api/jobs/{jobs[0]}/dismiss")
    await backend.index.flush()
    question = await client.post("/jobs/actions", urlencode(ALL_FAILED).encode(), FORM)
    assert b'name="expected" value="1"' in question.body
    assert b"failed 2" in question.body
    assert b"failed 1" not in question.body
    done = await client.post(
        "/jobs/actions", urlencode(ALL_FAILED | {"expected": 1}).encode(), FORM
    )
    assert done.headers["location"].startswith("/actions/")
    await client.app.state.services.bulk_runner.run_due()
    page = await client.get(done.headers["location"])
    assert b"ended" in page.body
    assert jobs[1].encode() in page.body


async def test_who_acts_on_jobs_that_have_gone_on_meanwhile_is_told_how_many(
    client: AsgiClient, life: Life
) -> None:
    jobs = [await submit(client, jobName=f"failed {number}") for number in (1, 2, 3)]
    for job_id in jobs:
        await life.start(job_id)
        await life.fail(job_id)
    await client.post(f"/api/jobs/{jobs[0]}/redrive")
    fields = [("action", "redrive"), ("expected", "3"), *(("id", one) for one in jobs)]
    done = await client.post("/jobs/actions", urlencode(fields).encode(), FORM)
    assert done.headers["location"] == "/jobs?done=redrive.2.1"
    page = await client.get("/jobs", done="redrive.2.1")
    assert b"Redriven 2 jobs. 1 job no longer allowed it." in page.body
