"""What failed, how often and where: the page of errors, a group's page, and what the API says."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.error_group import ErrorKey
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

FORM = {"content-type": "application/x-www-form-urlencoded"}
BURST = 60
TIMEOUT = ErrorKey("crm.sync", "TimeoutError", "crm.client.fetch")
LOST = ErrorKey("mail.send", "KeyError", "mail.render")


async def _die(client: AsgiClient, life: Life, key: ErrorKey, message: str) -> str:
    job_id = await submit(client, type=key.job_type, jobName=f"{key.job_type} job")
    await life.start(job_id)
    error = {"type": key.error, "message": message, "traceback": "…", "place": key.place}
    data: dict[str, Any] = {"error": error}
    ending = Change(kind=Status.FAILED, worker_id=WORKER, message=message, data=data)
    await life.write(job_id, ending)
    return job_id


async def _burst(client: AsgiClient, life: Life) -> list[str]:
    """One death of its own kind, then many of another."""
    lost = await _die(client, life, LOST, "no template 'welcome'")
    return [lost] + [await _die(client, life, TIMEOUT, f"no answer {n}") for n in range(BURST)]


async def test_a_burst_hides_no_other_error_and_its_group_counts_all(
    client: AsgiClient, life: Life
) -> None:
    await _burst(client, life)
    report = (await client.get("/api/errors", range="15m")).json
    counts = [(one["error"], one["place"], one["jobs"]) for one in report["items"]]
    assert counts == [("TimeoutError", TIMEOUT.place, BURST), ("KeyError", LOST.place, 1)]
    for path in ("/errors", "/dead-letters"):
        text = (await client.get(path)).body.decode()
        assert f"<strong>{BURST}</strong>" in text
        assert "no template &#39;welcome&#39;" in text
    one = (await client.get("/api/errors", type="mail.send")).json
    assert [group["type"] for group in one["items"]] == ["mail.send"]


async def test_an_action_on_a_group_is_done_to_all_its_jobs_and_to_no_others(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    lost, *burst = await _burst(client, life)
    await client.post(f"/api/jobs/{burst[0]}/redrive")
    await backend.index.flush()
    page = (await client.get(f"/errors/{TIMEOUT.group_id}")).body.decode()
    assert len(re.findall(r'name="id"', page)) == 50  # the first page
    fields = {"action": "redrive", "all": "1", "filter.error_group": TIMEOUT.group_id}
    question = await client.post("/jobs/actions", urlencode(fields).encode(), FORM)
    assert f'name="expected" value="{BURST - 1}"'.encode() in question.body
    done = await client.post(
        "/jobs/actions", urlencode(fields | {"expected": BURST - 1}).encode(), FORM
    )
    assert done.headers["location"].startswith("/actions/")
    await client.app.state.services.bulk_runner.run_due()
    await backend.index.flush()
    left = (await client.get("/api/jobs", view="jobs", state="failed")).json["items"]
    assert [row["jobId"] for row in left] == [lost]


async def test_a_group_that_nobody_knows_is_an_empty_page_and_a_wrong_name_is_named(
    client: AsgiClient,
) -> None:
    page = await client.get(f"/errors/{'0' * 16}")
    assert (page.status, b"Nothing of this group failed" in page.body) == (200, True)
    assert (await client.get("/errors/nonsense")).status == 400
    wrong = await client.get("/api/jobs", view="jobs", errorGroup="nonsense")
    assert (wrong.status, wrong.json["field"]) == (400, "errorGroup")


async def test_messages_of_groups_show_no_credentials_and_no_markup(
    client: AsgiClient, life: Life
) -> None:
    await _die(client, life, TIMEOUT, "password=hunter2hunter2 <script>alert(1)</script>")
    for path in ("/errors", f"/errors/{TIMEOUT.group_id}", "/dead-letters", "/api/errors"):
        body = (await client.get(path)).body.decode()
        assert "hunter2hunter2" not in body
        assert path.startswith("/api") or "<script>alert" not in body


async def test_the_group_of_types_without_a_handler_claims_no_more_on_any_page(
    client: AsgiClient, life: Life
) -> None:
    no_handler = ErrorKey("invented", "NoHandler", "")
    await _die(client, life, no_handler, "no handler for 'invented'")
    (group,) = (await client.get("/api/errors", type="crm.sync")).json["items"]
    assert (group["type"], group["error"]) == ("", "NoHandler")
    for path in ("/errors", "/dead-letters", f"/errors/{group['groupId']}"):
        text = (await client.get(path)).body.decode()
        assert "ypes without a handler" in text
        assert "Other groups" not in text
