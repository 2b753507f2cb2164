"""Pauses of queues and types through the REST API and the page ``/queues``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.job_id import new_id
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.dashboard.api.test_fleet import a_worker
from tests.dashboard.api.test_jobs import submit

SUBJECTS = [("queues", ControlSubject.QUEUE), ("types", ControlSubject.TYPE)]


async def queue_of(client: AsgiClient, name: str = "default") -> dict[str, Any]:
    found = (await client.get("/api/queues")).json["queues"]
    return next(queue for queue in found if queue["queue"] == name)


async def send_form(client: AsgiClient, path: str, fields: dict[str, str]) -> Answer:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await client.post(path, urlencode(fields).encode(), headers)


async def test_a_paused_queue_is_shown_with_who_until_when_and_why(
    client: AsgiClient, backend: Backend
) -> None:
    await backend.directory.beat(worker := a_worker())
    job_id = await submit(client)
    body = {"reason": "third party down", "until": "2999-01-01T06:00:00Z"}
    answer = await client.post("/api/queues/default/pause", body)
    assert answer.status == 202
    queue = await queue_of(client)
    assert (queue["paused"], queue["pausedUntil"]) == (True, "2999-01-01T06:00:00.000000Z")
    assert queue["pauseReason"] == "third party down"
    assert queue["pausedBy"]
    assert (queue["depth"], queue["oldestJobId"]) == (1, job_id)
    assert queue["waitingSeconds"] >= 0
    assert queue["inPerMinute"] == 1
    assert queue["workers"] == [worker.worker_id]
    lanes = (await client.get("/api/queues")).json["items"]
    assert all(lane["paused"] for lane in lanes if lane["queue"] == "default")
    assert (await client.post("/api/queues/default/resume")).status == 202
    assert not (await queue_of(client))["paused"]


@pytest.mark.parametrize("path", ["/api/queues", "/api/types", "/queues", "/jobs/{job_id}"])
async def test_no_credential_in_the_reason_of_a_pause_is_shown(
    client: AsgiClient, path: str
) -> None:
    job_id = await submit(client)
    reason = {"reason": "until curl -H 'X-Api-Key: hunter22' -u me:hunter22 works"}
    for subject in ("queues/default", "types/demo.steps"):
        assert (await client.post(f"/api/{subject}/pause", reason)).status == 202
    shown = (await client.get(path.format(job_id=job_id))).body.decode()
    assert "until curl" in shown
    assert "hunter22" not in shown


@pytest.mark.parametrize(("path", "subject"), SUBJECTS)
async def test_each_action_is_an_entry_of_the_control_log(
    client: AsgiClient, backend: Backend, path: str, subject: ControlSubject
) -> None:
    changes = []
    for action in ("pause", "pause", "resume", "resume"):
        answer = await client.post(f"/api/{path}/mail-out/{action}", {"reason": "why"})
        assert answer.status == 202
        changes.append(answer.json["changed"])
    assert changes == [True, False, True, False]
    log = await backend.control_log.history(subject, "mail-out")
    assert [entry.kind for entry in log] == [ControlKind.RESUMED, ControlKind.PAUSED]
    assert [entry.reason for entry in log] == ["why", "why"]


async def test_types_show_their_pause_and_their_workers(
    client: AsgiClient, backend: Backend
) -> None:
    await backend.directory.beat(worker := a_worker())
    await client.post("/api/types/mail.send/pause")
    items = {item["type"]: item for item in (await client.get("/api/types")).json["items"]}
    assert items["demo.steps"]["workers"] == [worker.worker_id]
    assert (items["mail.send"]["paused"], items["mail.send"]["workers"]) == (True, [])


async def test_a_pause_of_what_no_worker_serves_stands_with_a_warning(
    client: AsgiClient, backend: Backend
) -> None:
    await backend.directory.beat(a_worker())
    warnings = {
        "queues/default": None,
        "queues/defualt": "no live worker serves queue defualt",
        "types/demo.steps": None,
        "types/demo.setps": "no live worker handles type demo.setps",
    }
    for path, warning in warnings.items():
        answer = await client.post(f"/api/{path}/pause")
        assert (answer.status, answer.json["changed"]) == (202, True)
        assert answer.json["warning"] == warning


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/queues/default/pause", {"until": "tomorrow"}, "until"),
        ("/api/queues/default/pause", {"until": "2001-01-01T00:00:00Z"}, "until"),
        ("/api/queues/default/pause", {"until": 7}, "until"),
        ("/api/queues/default/pause", {"reason": 7}, "reason"),
        ("/api/queues/default/pause", {"reason": "x" * 1001}, "reason"),
        ("/api/queues/default/pause", {"reason": "\u0000"}, "reason"),
        ("/api/queues/default/pause", {"for": 7}, "for"),
        ("/api/queues/a%20b/pause", {}, "queue"),
        ("/api/queues/Mail/pause", {}, "queue"),
        (f"/api/queues/{'x' * 51}/pause", {}, "queue"),
        ("/api/queues/demo.steps/resume", {}, "queue"),
        ("/api/types/callback.deliver/pause", {}, "type"),
    ],
)
async def test_bad_input_names_its_field_and_pauses_nothing(
    client: AsgiClient, backend: Backend, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(path, body)
    assert (answer.status, answer.json["field"]) == (400, field)
    for subject in ControlSubject:
        assert not await backend.control_log.heads(subject)


async def test_a_job_may_run_anyway_only_while_a_pause_holds_it(client: AsgiClient) -> None:
    job_id = await submit(client)
    path = f"/api/jobs/{job_id}/run-anyway"
    assert (await client.post(path)).status == 409
    await client.post("/api/queues/default/pause")
    assert (await client.post(path, {"reason": "the customer waits"})).status == 202
    assert (await client.post(path)).status == 409
    assert (await client.post(f"/api/jobs/{new_id()}/run-anyway")).status == 404


async def test_the_page_of_a_paused_job_has_a_button_that_lets_it_run(
    client: AsgiClient, backend: Backend
) -> None:
    job_id = await submit(client)
    assert "Run anyway" not in (await client.get(f"/jobs/{job_id}")).body.decode()
    await client.post("/api/queues/default/pause")
    assert "Run anyway" in (await client.get(f"/jobs/{job_id}")).body.decode()
    assert (await send_form(client, f"/jobs/{job_id}/run-anyway", {})).status == 303
    [entry, _] = await backend.control_log.history(ControlSubject.QUEUE, "default")
    assert entry.details["jobId"] == job_id
    assert "Run anyway" not in (await client.get(f"/jobs/{job_id}")).body.decode()


async def test_the_page_of_a_queued_job_says_who_paused_its_queue_until_when(
    client: AsgiClient,
) -> None:
    job_id = await submit(client)
    until = (datetime.now(UTC) + timedelta(days=2)).replace(
        hour=6, minute=0, second=0, microsecond=0
    )
    body = {"until": until.isoformat(), "reason": "<b>night</b>"}
    await client.post("/api/queues/default/pause", body)
    page = (await client.get(f"/jobs/{job_id}")).body.decode()
    assert "queue paused" in page
    assert f"until {until:%Y-%m-%d} 06:00 UTC" in page
    assert "<b>night</b>" not in page
    await client.post("/api/queues/default/resume")
    await client.post("/api/types/demo.steps/pause")
    assert "type demo.steps paused" in (await client.get(f"/jobs/{job_id}")).body.decode()


async def test_the_page_shows_queues_and_types_and_pauses_them(
    client: AsgiClient, backend: Backend
) -> None:
    await backend.directory.beat(a_worker())
    await submit(client)
    form = {"subject": "queue", "name": "default", "until": "2999-01-01T06:00", "reason": "<i>"}
    paused = await send_form(client, "/queues/pause", form)
    assert paused.status == 303
    page = (await client.get("/queues")).body.decode()
    assert "demo.steps" in page
    assert "&lt;i&gt;" in page
    assert (await queue_of(client))["pausedUntil"] == "2999-01-01T06:00:00.000000Z"
    resumed = await send_form(client, "/queues/resume", {"subject": "queue", "name": "default"})
    assert resumed.status == 303
    assert not (await queue_of(client))["paused"]


async def test_the_journal_names_the_job_that_somebody_let_run(client: AsgiClient) -> None:
    job_id = await submit(client)
    await client.post("/api/queues/default/pause")
    await client.post(f"/api/jobs/{job_id}/run-anyway", {"reason": "the customer waits"})
    for chosen in ({}, {"verb": "run"}):
        entry = (await client.get("/api/actions", **chosen)).json["items"][0]
        assert (entry["subject"], entry["name"], entry["jobId"]) == ("queue", "default", job_id)
    page = (await client.get("/actions", verb="run")).body.decode()
    assert f'/jobs/{job_id}"' in page
    assert "run despite the pause of queue" in page
