"""Schedules over HTTP: what is refused names the field, what is done stands in the log."""

from __future__ import annotations

from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.api import schedule_documents
from jobfleet_dashboard.security.api_keys import new_key
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life

PATH = "/api/schedules/daily"
DAILY = {"type": "report", "cron": "0 6 * * *", "timezone": "Europe/Berlin", "payload": {"a": 1}}


async def put(client: AsgiClient, body: Any = DAILY, path: str = PATH, **more: Any) -> Answer:
    return await client.request("PUT", path, body=body, **more)


async def history(client: AsgiClient, path: str = PATH) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get(f"{path}/history")).json["items"]
    return items


async def test_a_declared_schedule_is_shown_with_its_next_five_times(client: AsgiClient) -> None:
    answer = await put(client)
    assert answer.status == 200
    assert answer.json == (await client.get(PATH)).json
    assert (await client.get("/api/schedules")).json == {"items": [answer.json]}
    shown = answer.json
    assert (shown["name"], shown["cron"], shown["timezone"]) == ("daily", *_times())
    assert len(shown["nextRuns"]) == 5
    assert shown["declaredBy"] == "dashboard"
    assert shown["paused"] is shown["late"] is shown["handled"] is shown["inCode"] is False


def _times() -> tuple[str, str]:
    return ("0 6 * * *", "Europe/Berlin")


async def test_answers_have_the_fields_of_their_models_in_their_order(client: AsgiClient) -> None:
    await put(client)
    for path, model in (
        ("/api/schedules", schedule_documents.ScheduleList),
        (PATH, schedule_documents.ScheduleDocument),
        (f"{PATH}/history", schedule_documents.ScheduleHistory),
    ):
        answer = (await client.get(path)).json
        again = model.model_validate(answer).model_dump(mode="json", by_alias=True)
        assert again == answer
        assert str(again) == str(answer), "another order"


async def test_the_same_declaration_again_changes_nothing(client: AsgiClient) -> None:
    await put(client)
    await put(client)
    assert [entry["kind"] for entry in await history(client)] == ["Declared"]
    await put(client, DAILY | {"cron": "0 7 * * *", "reason": "earlier was too early"})
    newest, first = await history(client)
    assert (newest["kind"], newest["reason"]) == ("Changed", "earlier was too early")
    cron = {"field": "cron", "old": "0 6 * * *", "new": "0 7 * * *"}
    assert (newest["changes"], first["changes"]) == ([cron], [])
    page = (await client.get(f"{PATH}/history?limit=1")).json
    assert (page["items"], page["next"]) == ([newest], "2")
    shown = (await client.get("/schedules/daily")).body.decode()
    assert "earlier was too early; cron: 0 6 * * * → 0 7 * * *" in shown


WRONG = [
    ({"type": "x"}, "cron"),
    ({"type": "x", "cron": "0 6 * * *", "everySeconds": 5}, "cron"),
    ({"type": "x", "cron": "never"}, "cron"),
    ({"type": "x", "cron": "0 0 30 2 *"}, "cron"),
    ({"type": "x", "cron": 5}, "cron"),
    ({"type": "x", "everySeconds": 0.5}, "everySeconds"),
    ({"type": "x", "cron": "0 6 * * *", "timezone": "Mars/Base"}, "timezone"),
    ({"type": "x", "cron": "0 6 * * *", "overlap": "both"}, "overlap"),
    (
        {"type": "x", "cron": "0 6 * * *", "overlap": "queue", "lockKey": "k", "lockSlots": 2},
        "lockSlots",
    ),
    (
        {"type": "x", "everySeconds": 9, "catchUp": "all", "lockKey": "k", "lockSlots": 2},
        "lockSlots",
    ),
    ({"type": "x", "cron": "0 6 * * *", "catchUp": "some"}, "catchUp"),
    ({"type": "x", "cron": "0 6 * * *", "start": "tomorrow"}, "start"),
    ({"type": "x", "cron": "0 6 * * *", "priority": 10}, "priority"),
    ({"type": "x", "cron": "0 6 * * *", "runAt": "2026-01-01T00:00:00Z"}, "runAt"),
    ({"type": "x", "cron": "0 6 * * *", "jobId": new_id()}, "jobId"),
    ({"type": "x", "cron": "0 6 * * *", "crom": 1}, "crom"),
    ({"type": "x", "cron": "0 6 * * *", "payload": "x" * 15_000}, "payload"),
    ({"type": "x", "cron": "0 6 * * *", "reason": 5}, "reason"),
    ({"type": "x", "cron": "0 6 * * *", "reason": "x" * 1001}, "reason"),
    ({"type": "callback.deliver", "cron": "0 6 * * *"}, "type"),
    (
        {"type": "http.request", "cron": "0 6 * * *", "payload": {"targetUrl": "ftp://a"}},
        "payload.targetUrl",
    ),
    ({"cron": "0 6 * * *"}, "type"),
    ([], "body"),
]


@pytest.mark.parametrize(("body", "field"), WRONG, ids=range(len(WRONG)))
async def test_what_does_not_fit_is_400_and_names_the_field(
    client: AsgiClient, body: Any, field: str
) -> None:
    answer = await put(client, body)
    assert (answer.status, answer.json["field"]) == (400, field), answer.json
    assert (await client.get(PATH)).status == 404


@pytest.mark.parametrize("name", ["a b", "x" * 101, "grün", "a%2Fb"])
async def test_a_name_that_cannot_be_a_key_is_400(client: AsgiClient, name: str) -> None:
    answer = await put(client, path=f"/api/schedules/{name}")
    assert answer.status in (400, 404)
    assert (await client.get("/api/schedules")).json == {"items": []}


async def test_an_unknown_or_removed_schedule_is_404_everywhere(client: AsgiClient) -> None:
    await put(client, path="/api/schedules/gone")
    assert (await client.request("DELETE", "/api/schedules/gone")).status == 202
    times = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    for path in (PATH, "/api/schedules/gone"):
        for action, body in (("pause", {}), ("resume", {}), ("run", {}), ("backfill", times)):
            answer = await client.post(f"{path}/{action}", body)
            assert (answer.status, answer.json["type"]) == (404, "unknown-schedule"), action
        assert (await client.get(path)).status == 404
    assert (await client.request("DELETE", PATH)).status == 404
    assert (await client.get(f"{PATH}/history")).status == 404
    kinds = [entry["kind"] for entry in await history(client, "/api/schedules/gone")]
    assert kinds == ["Removed", "Declared"]


async def test_pause_and_resume_say_who_and_why(backend: Backend) -> None:
    secret, line = new_key("ops", "operator")
    client, key = client_of(backend, api_keys=(line,)), {"X-API-Key": secret}
    await put(client, headers=key)
    answer = await client.post(f"{PATH}/pause", {"reason": "books"}, headers=key)
    outcome = {"name": "daily", "message": "paused", "changed": True}
    assert (answer.status, answer.json) == (202, outcome)
    shown = (await client.request("GET", PATH, headers=key)).json
    assert (shown["paused"], shown["pausedBy"], shown["pausedReason"]) == (True, "ops", "books")
    assert shown["nextRuns"] == []
    again = await client.post(f"{PATH}/pause", headers=key)
    assert (again.json["message"], again.json["changed"]) == ("paused", False)
    for message, changed in (("resumed", True), ("was not paused", False)):
        answer = await client.post(f"{PATH}/resume", headers=key)
        assert (answer.json["message"], answer.json["changed"]) == (message, changed)
    assert not (await client.request("GET", PATH, headers=key)).json["paused"]


async def test_run_makes_a_job_that_knows_its_schedule(client: AsgiClient, life: Life) -> None:
    await put(client)
    answer = await client.post(f"{PATH}/run", {"reason": "again"})
    assert answer.status == 202
    job = (await client.get(answer.json["statusUrl"])).json
    assert (job["type"], job["payload"]) == ("report", {"a": 1})
    assert (job["scheduleName"], job["scheduledFor"]) == ("daily", None)
    other = await client.post(f"{PATH}/run")
    assert other.json["jobId"] != answer.json["jobId"]
    assert (await history(client))[1]["jobId"] == answer.json["jobId"]


async def test_a_backfill_repeated_finds_the_same_jobs(client: AsgiClient) -> None:
    await put(client)
    times = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-04T00:00:00Z"}
    first = await client.post(f"{PATH}/backfill", times)
    assert first.status == 202
    assert [item["created"] for item in first.json["items"]] == [True] * 3
    again = await client.post(f"{PATH}/backfill", times)
    assert [item["created"] for item in again.json["items"]] == [False] * 3
    ids = [item["jobId"] for item in first.json["items"]]
    assert ids == [item["jobId"] for item in again.json["items"]]
    job = (await client.get(f"/api/jobs/{ids[0]}")).json
    assert job["scheduledFor"] == "2026-03-01T05:00:00.000000Z"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "since"),
        ({"since": "x", "until": "2026-03-04T00:00:00Z"}, "since"),
        ({"since": "2026-03-04T00:00:00Z"}, "until"),
        ({"since": "2026-03-04T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "until"),
        ({"since": "2016-03-04T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "until"),
        ({"since": 5, "until": 6}, "since"),
        ({"from": 5}, "from"),
    ],
)
async def test_a_wrong_backfill_is_400(client: AsgiClient, body: Any, field: str) -> None:
    await put(client)
    answer = await client.post(f"{PATH}/backfill", body)
    assert (answer.status, answer.json["field"]) == (400, field)


async def test_history_has_pages(client: AsgiClient) -> None:
    for minute in range(5):
        await put(client, DAILY | {"cron": f"{minute} 6 * * *"})
    seen: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await client.get(f"{PATH}/history", limit=2, **cursor)).json
        seen += [entry["sequence"] for entry in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [5, 4, 3, 2, 1]


async def test_a_job_that_only_claims_a_schedule_belongs_to_none(client: AsgiClient) -> None:
    claimed = {"scheduleName": "daily", "scheduledFor": "2026-03-01T05:00:00.000000Z"}
    answer = await client.post("/api/jobs", {"type": "x", "context": claimed})
    job = (await client.get(answer.json["statusUrl"])).json
    assert (job["scheduleName"], job["scheduledFor"]) == (None, None)


async def test_what_live_workers_declare_and_handle_is_shown(
    client: AsgiClient, backend: Backend
) -> None:
    await put(client)
    services = client.app.state.services
    now = services.clock.now()
    for worker_id, digest in (("w1", "aa"), ("w2", "bb")):
        status = WorkerStatus(
            worker_id=worker_id, heartbeat_at=now, types=("report",), schedules={"daily": digest}
        )
        await backend.directory.beat(status)
    shown = (await client.get(PATH)).json
    assert shown["handled"] is shown["inCode"] is True
    assert shown["contents"] == [
        {"digest": "aa", "workerIds": ["w1"]},
        {"digest": "bb", "workerIds": ["w2"]},
    ]


async def test_a_row_that_cannot_be_read_says_so_and_hides_no_other(
    client: AsgiClient, backend: Backend
) -> None:
    await put(client)
    services = client.app.state.services
    await backend.control_log.insert(
        ControlEntry(
            subject=ControlSubject.SCHEDULE,
            name="broken",
            sequence=1,
            entry_id=new_id(),
            kind=ControlKind.DECLARED,
            by="me",
            occurred_at=services.clock.now(),
            state={"removed": False},
        )
    )
    items = (await client.get("/api/schedules")).json["items"]
    assert [item["name"] for item in items] == ["broken", "daily"]
    assert items[0]["error"]
    assert items[1]["error"] is None


async def test_a_secret_in_a_payload_is_masked(client: AsgiClient) -> None:
    await put(client, DAILY | {"payload": {"password": "hunter2-and-more"}})
    for path in (PATH, "/api/schedules", f"{PATH}/history"):
        assert b"hunter2" not in (await client.get(path)).body
