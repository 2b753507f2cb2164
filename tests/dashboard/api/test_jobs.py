"""Lists and single jobs, as scripts read them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.reading.page_bytes import MAX_PAGE_BYTES
from jobfleet_protocol.trail.tombstone import tombstone_of
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life

FIELDS = [
    *(
        "jobId",
        "jobName",
        "type",
        "state",
        "queue",
        "priority",
        "lockKey",
        "lockSlots",
        "limits",
        "holds",
        "waitsFor",
    ),
    *("attempt", "attempts"),
    *("maxAttempts", "epoch", "workerId", "createdAt", "runAt", "startedAt", "completedAt"),
    *("updatedAt", "nextRetryAt", "result", "lastError", "lastResponse", "callbackJobId"),
    *("callbackConflict", "groupId", "followsJobId", "successors", "scheduleName", "scheduledFor"),
    *("payload", "context", "events", "eventsNext"),
]


async def submit(client: AsgiClient, **change: Any) -> str:
    answer = await client.post("/api/jobs", {"type": "demo.steps"} | change)
    assert answer.status == 202, answer.body
    return str(answer.json["jobId"])


async def test_a_new_job_shows_every_field_and_null_for_what_is_not_known(
    client: AsgiClient,
) -> None:
    job_id = await submit(client, jobName="Name", lockKey="k", priority=9, payload=[1])
    job = (await client.get(f"/api/jobs/{job_id.upper()}")).json
    assert list(job) == FIELDS
    assert (job["jobName"], job["lockKey"], job["priority"], job["payload"]) == (
        "Name",
        "k",
        9,
        [1],
    )
    unknown = (
        "runAt",
        "startedAt",
        "completedAt",
        "nextRetryAt",
        "result",
        "lastError",
        "workerId",
    )
    assert [job[name] for name in unknown] == [None] * len(unknown)
    assert [event["status"] for event in job["events"]] == ["Queued"]


async def test_a_job_that_failed_once_and_completed_shows_result_and_last_error(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    await life.retry(job_id, "first")
    retrying = (await client.get(f"/api/jobs/{job_id}")).json
    assert retrying["state"] == "retrying"
    assert retrying["nextRetryAt"] is not None
    started = await life.start(job_id)
    await life.complete(job_id, {"rows": 3})
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert (job["state"], job["result"], job["attempt"]) == ("completed", {"rows": 3}, 2)
    assert job["lastError"]["message"] == "first"
    assert job["startedAt"] == started.to_json()["timestamp"]
    assert job["completedAt"] == job["events"][-1]["timestamp"]


async def test_large_payloads_and_results_are_shown_whole(client: AsgiClient, life: Life) -> None:
    large = "x" * 200_000
    job_id = await submit(client, payload=large)
    await life.start(job_id)
    await life.complete(job_id, {"text": large})
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert (job["payload"], job["result"]) == (large, {"text": large})
    assert set(job["events"][0]["data"]) == {"blob", "size"}


async def test_an_http_job_shows_the_last_response_after_failures_too(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client, type="http.request")
    await life.start(job_id)
    await life.fail(job_id, "503", response={"statusCode": 503, "body": "busy"})
    job = (await client.get(f"/api/jobs/{job_id}")).json
    (attempt,) = (await client.get(f"/api/jobs/{job_id}/logs")).json["items"]
    assert job["lastResponse"] == attempt["response"] == {"statusCode": 503, "body": "busy"}
    assert attempt["statusCode"] == 503


async def test_a_redriven_job_begins_anew_and_keeps_its_history(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    await life.step(job_id, 1, checkpoint={"row": 7})
    await life.fail(job_id)
    await client.post(f"/api/jobs/{job_id}/redrive")
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert (job["state"], job["attempt"], job["startedAt"]) == ("queued", 0, None)
    assert job["completedAt"] is None
    assert len(job["events"]) == 5
    (attempt,) = (await client.get(f"/api/jobs/{job_id}/logs")).json["items"]
    assert attempt["succeeded"] is False


async def test_logs_list_each_attempt_with_its_error(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    await life.retry(job_id, "first")
    await life.start(job_id)
    items = (await client.get(f"/api/jobs/{job_id}/logs")).json["items"]
    assert [(one["attemptNumber"], one["succeeded"]) for one in items] == [(1, False), (2, None)]
    assert items[0]["error"]["message"] == "first"
    assert items[0]["durationMs"] >= 0
    assert items[1]["endedAt"] is None


async def test_logs_are_paged_without_loss(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client, maxAttempts=9)
    for _ in range(4):
        await life.start(job_id)
        await life.retry(job_id)
    numbers: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await client.get(f"/api/jobs/{job_id}/logs", limit=1, **cursor)).json
        numbers += [one["attemptNumber"] for one in answer["items"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert numbers == [1, 2, 3, 4]


async def test_a_page_of_logs_ends_after_a_mebibyte(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client, maxAttempts=9)
    for _ in range(5):
        await life.start(job_id)
        await life.retry(job_id, "x" * 600_000)
    sizes: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(f"/api/jobs/{job_id}/logs", **cursor)
        sizes.append(len(answer.json["items"]))
        assert len(answer.body) < 2 * MAX_PAGE_BYTES
        if answer.json["next"] is None:
            break
        cursor = {"cursor": answer.json["next"]}
    assert sizes == [2, 2, 1]


async def test_a_history_is_paged_in_order(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    for number in range(1, 6):
        await life.step(job_id, number)
    first = (await client.get(f"/api/jobs/{job_id}/events", limit=4)).json
    rest = (await client.get(f"/api/jobs/{job_id}/events", limit=4, cursor=first["next"])).json
    assert [event["sequence"] for event in first["items"] + rest["items"]] == list(range(1, 8))
    older = (await client.get(f"/api/jobs/{job_id}/events", limit=2, cursor="b5")).json
    assert [event["sequence"] for event in older["items"]] == [3, 4]
    assert older["next"] == "b3"


async def test_an_unknown_job_and_a_path_that_is_no_uuid_are_404(client: AsgiClient) -> None:
    for path, kind in ((new_id(), "unknown-job"), ("17", "not-found"), ("x%00y", "not-found")):
        for tail in ("", "/logs", "/events"):
            answer = await client.get(f"/api/jobs/{path}{tail}")
            assert (answer.status, answer.json["type"]) == (404, kind)


async def test_a_method_that_a_path_does_not_have_is_405_naming_those_it_has(
    client: AsgiClient,
) -> None:
    for path, allowed in (("/api/jobs", "GET, HEAD, POST"), ("/api/jobs/bulk", "POST")):
        answer = await client.request("DELETE", path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert (await client.get("/api/jobs/actions")).status == 405


async def test_head_answers_as_get_does_without_the_body(client: AsgiClient) -> None:
    job_id = await submit(client)
    for path in (f"/api/jobs/{job_id}", "/livez", "/readyz", "/metrics", "/", "/static/app.css"):
        got, head = await client.get(path), await client.request("HEAD", path)
        assert (head.status, head.body) == (200, b""), path
        same = ("content-type", "etag")
        assert [head.headers.get(n) for n in same] == [got.headers.get(n) for n in same], path


async def test_a_stream_has_no_head(client: AsgiClient) -> None:
    for path in ("/api/events/stream", "/stream/jobs"):
        answer = await client.request("HEAD", path)
        assert (answer.status, answer.headers["allow"]) == (405, "GET")


async def test_an_unchanged_job_is_304(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client)
    first = await client.get(f"/api/jobs/{job_id}")
    headers = {"If-None-Match": first.headers["etag"]}
    assert "retry-after" in first.headers
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"another", {etag}', "*"):
        again = await client.request("GET", f"/api/jobs/{job_id}", headers={"If-None-Match": known})
        assert (again.status, again.body) == (304, b"")
    await life.start(job_id)
    changed = await client.request("GET", f"/api/jobs/{job_id}", headers=headers)
    assert changed.status == 200


async def test_waiting_answers_as_soon_as_the_job_ends(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    began = time.monotonic()
    waiting = asyncio.create_task(client.get(f"/api/jobs/{job_id}", wait=20))
    answered, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not answered
    await life.complete(job_id, "done")
    answer = await waiting
    assert (answer.json["state"], answer.json["result"]) == ("completed", "done")
    assert time.monotonic() - began < 5
    assert "retry-after" not in answer.headers


async def test_waiting_ends_with_its_time(client: AsgiClient) -> None:
    job_id = await submit(client)
    answer = await client.get(f"/api/jobs/{job_id}", wait=0.2)
    assert (answer.status, answer.json["state"]) == (200, "queued")


async def test_events_are_listed_newest_first_and_filtered(client: AsgiClient, life: Life) -> None:
    one = await submit(client, jobName="one")
    two = await submit(client, type="other")
    await life.start(one)
    await life.complete(one)
    items = (await client.get("/api/jobs")).json["items"]
    assert [event["status"] for event in items] == ["Completed", "Started", "Queued", "Queued"]
    by_status = (await client.get("/api/jobs", status="Completed")).json["items"]
    by_type = (await client.get("/api/jobs", type="other")).json["items"]
    by_name = (await client.get("/api/jobs", name="one")).json["items"]
    assert [event["jobId"] for event in by_status] == [one]
    assert [event["jobId"] for event in by_type] == [two]
    assert len(by_name) == 3


async def test_a_list_of_events_goes_on_where_its_page_ended(client: AsgiClient) -> None:
    ids = [await submit(client) for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await client.get("/api/jobs", limit=2, **cursor)).json
        seen += [event["jobId"] for event in answer["items"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert seen == ids[::-1]


async def test_jobs_are_listed_once_each_with_their_state(client: AsgiClient, life: Life) -> None:
    one = await submit(client, jobName="Quarterly report", queue="reports")
    await submit(client)
    await life.start(one)
    listed = (await client.get("/api/jobs", view="jobs")).json["items"]
    assert {row["state"] for row in listed} == {"running", "queued"}
    for query in (
        {"state": "running,failed"},
        {"queue": "reports"},
        {"q": "quarterly"},
        {"q": one},
    ):
        found = (await client.get("/api/jobs", view="jobs", **query)).json["items"]
        assert [row["jobId"] for row in found] == [one], query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"type": "a\x00b"}, "type"),
        ({"view": "jobs", "q": "\x1b[2J"}, "q"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"status": "Done"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"view": "rows"}, "view"),
        ({"state": "running"}, "state"),
        ({"view": "jobs", "state": "sleeping"}, "state"),
        ({"view": "jobs", "status": "Queued"}, "status"),
        ({"view": "jobs", "cursor": "nonsense"}, "cursor"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_filter_that_does_not_fit_is_400_and_named(
    client: AsgiClient, query: dict[str, Any], field: str
) -> None:
    answer = await client.get("/api/jobs", **query)
    assert (answer.status, answer.json["field"]) == (400, field)


async def test_a_long_history_shows_the_newest_thousand_and_the_start_of_its_attempt(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    job_id = await submit(client)
    started = await life.start(job_id)
    await life.steps(job_id, 1100)
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert [event["sequence"] for event in job["events"]] == list(range(103, 1103))
    assert job["startedAt"] == started.to_json()["timestamp"]
    older = (await client.get(f"/api/jobs/{job_id}/events", cursor=job["eventsNext"])).json
    assert [event["sequence"] for event in older["items"]] == list(range(3, 103))
    assert older["next"] == "b3"


async def test_a_job_whose_history_was_removed_tells_how_it_ended_and_that_it_was(
    client: AsgiClient, life: Life, backend: Backend
) -> None:
    job_id = await submit(client, payload=[1], jobName="Name")
    await life.start(job_id)
    last = await life.fail(job_id)
    stone = tombstone_of(last, last, digest=None, message="history removed after 30 days")
    assert backend.retention is not None
    await backend.retention.forget(stone, last=last.sequence)
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert list(job) == FIELDS
    assert (job["jobName"], job["state"], job["payload"]) == ("Name", "failed", None)
    assert (job["startedAt"], job["result"]) == (None, None)
    assert [event["message"] for event in job["events"]] == ["history removed after 30 days"]
    assert (await client.post(f"/api/jobs/{job_id}/redrive")).status == 409
    page = await client.request("GET", f"/jobs/{job_id}", headers={"Accept": "text/html"})
    assert b"; history removed after 30 days" in page.body
    assert b"/redrive" not in page.body


@pytest.mark.parametrize("payload", [None, {}, {"a": 1}, [1], "text", 7, True])
async def test_a_job_that_follows_takes_any_payload(client: AsgiClient, payload: Any) -> None:
    body = {"type": "a", "then": [{"type": "b", "payload": payload}]}
    assert (await client.post("/api/jobs", body)).status == 202
    fills = {"type": "b", "payload": payload, "results": {"a": "previous"}}
    answer = await client.post("/api/jobs", {"type": "a", "then": [fills]})
    assert answer.status == (202 if payload in (None, {}) else 400)
