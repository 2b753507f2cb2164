"""What happens to bodies that people send."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import QueueDepth
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of

JOB = {"type": "demo.steps", "payload": {"steps": 3}}


async def test_an_accepted_job_stands_in_the_trail_with_its_address(
    client: AsgiClient, backend: Backend
) -> None:
    answer = await client.post("/api/jobs", JOB)
    job_id = answer.json["jobId"]
    assert answer.status == 202
    assert answer.json["state"] == answer.json["status"] == "queued"
    assert answer.headers["location"] == answer.json["statusUrl"] == f"/api/jobs/{job_id}"
    assert int(answer.headers["retry-after"]) >= 1
    head = await backend.trail.newest(job_id)
    assert head is not None
    assert head.status == "Queued"


async def test_the_same_key_and_body_make_one_job_and_another_body_is_422(
    client: AsgiClient,
) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = await client.post("/api/jobs", JOB, headers=key)
    again = await client.post("/api/jobs", JOB, headers=key)
    other = await client.post("/api/jobs", {"type": "other"}, headers=key)
    assert first.json["jobId"] == again.json["jobId"]
    assert (first.status, again.status, other.status) == (202, 202, 422)
    assert other.json["type"] == "idempotency-key-reused"


async def test_the_same_job_id_with_another_body_is_409(client: AsgiClient) -> None:
    job = JOB | {"jobId": "0197f0c2-6d5e-7c3a-9f58-2b1d3e4f5a6b"}
    assert (await client.post("/api/jobs", job)).status == 202
    assert (await client.post("/api/jobs", job)).status == 202
    refused = await client.post("/api/jobs", job | {"priority": 9})
    assert (refused.status, refused.json["type"]) == (409, "body-conflict")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prioritty": 3}, "prioritty"),
        ({"priority": 10}, "priority"),
        ({"priority": True}, "priority"),
        ({"type": "no blanks"}, "type"),
        ({"type": None}, "type"),
        ({"jobName": "a\x00b"}, "jobName"),
        ({"jobName": ["x"]}, "jobName"),
        ({"jobId": "17"}, "jobId"),
        ({"runAt": "tomorrow"}, "runAt"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"queue": "Ümlaut"}, "queue"),
        ({"callbackUrl": "ftp://x"}, "callbackUrl"),
        ({"context": "text"}, "context"),
        ({"payload": "x" * 1_100_000}, "payload"),
    ],
)
async def test_a_field_that_does_not_fit_is_400_and_named(
    client: AsgiClient, change: dict[str, Any], field: str
) -> None:
    answer = await client.post("/api/jobs", JOB | change)
    assert (answer.status, answer.json.get("field")) == (400, field)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type": "a", "payload": NaN}',
        b'{"type": "a", "payload": "\\ud800"}',
        b'{"type": "a", "payload": "\xff"}',
        b'{"type": "a", "payload": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"type": "a", "payload": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
async def test_a_body_that_is_no_job_is_400_with_a_field(client: AsgiClient, body: bytes) -> None:
    answer = await client.post("/api/jobs", body)
    assert answer.status == 400
    assert answer.json["field"] in {"body", "type", "payload"}


async def test_a_huge_body_is_413_announced_or_not(client: AsgiClient) -> None:
    body = json.dumps(JOB | {"payload": "x" * 3_000_000}).encode()
    announced = {"content-length": str(len(body))}
    assert (await client.post("/api/jobs", body, headers=announced)).status == 413
    silent = await client.post("/api/jobs", body)
    assert (silent.status, silent.json["type"]) == (413, "body-too-large")


async def test_the_short_form_becomes_an_http_job(client: AsgiClient) -> None:
    short = {
        "targetUrl": "https://example.com/x",
        "method": "PUT",
        "headers": {"X-A": "b"},
        "payload": {"a": 1},
        "maxRetries": 4,
        "retryDelay": 1500,
        "jobName": "hook",
    }
    job_id = (await client.post("/api/jobs", short)).json["jobId"]
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert (job["type"], job["maxAttempts"], job["jobName"]) == ("http.request", 5, "hook")
    assert job["payload"] == {
        "targetUrl": "https://example.com/x",
        "method": "PUT",
        "headers": {"X-A": "b"},
        "payload": {"a": 1},
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"targetUrl": 5}, "targetUrl"),
        ({"targetUrl": "file:///etc/passwd"}, "targetUrl"),
        ({"method": "BREW"}, "method"),
        ({"method": ["GET"]}, "method"),
        ({"headers": []}, "headers"),
        ({"maxRetries": -1}, "maxRetries"),
        ({"maxRetries": 1.5}, "maxRetries"),
        ({"retryDelay": "soon"}, "retryDelay"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_short_form_that_does_not_fit_is_400_and_named(
    client: AsgiClient, change: dict[str, Any], field: str
) -> None:
    answer = await client.post("/api/jobs", {"targetUrl": "https://example.com"} | change)
    assert (answer.status, answer.json["field"]) == (400, field)


async def test_the_request_id_and_traceparent_travel_with_the_job(client: AsgiClient) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    headers = {"X-Request-ID": "req-7", "traceparent": trace}
    for context in ({}, {"requestId": "of somebody else's request"}):
        answer = await client.post("/api/jobs", JOB | {"context": context}, headers=headers)
        job = (await client.get(answer.json["statusUrl"])).json
        assert answer.headers["x-request-id"] == "req-7"
        assert job["context"] == {"requestId": "req-7", "traceparent": trace}


async def test_bulk_answers_each_job_in_order(client: AsgiClient) -> None:
    answer = await client.post("/api/jobs/bulk", {"jobs": [JOB, {"type": 5}, JOB, "text"]})
    items = answer.json["items"]
    assert answer.status == 202
    assert [set(item) for item in items] == [
        {"jobId", "state"},
        {"error"},
        {"jobId", "state"},
        {"error"},
    ]
    assert items[1]["error"]["field"] == "type"
    assert UUID(items[0]["jobId"]) != UUID(items[2]["jobId"])


async def test_a_repeated_bulk_with_a_key_makes_no_second_jobs(client: AsgiClient) -> None:
    key = {"Idempotency-Key": "batch-1"}
    first = await client.post("/api/jobs/bulk", {"jobs": [JOB, JOB]}, headers=key)
    again = await client.post("/api/jobs/bulk", {"jobs": [JOB, JOB]}, headers=key)
    assert first.json == again.json
    assert len((await client.get("/api/jobs", view="jobs")).json["items"]) == 2


@pytest.mark.parametrize("body", [{}, {"jobs": []}, {"jobs": [JOB] * 1001}, {"jobs": {}}, {"x": 1}])
async def test_a_bulk_that_does_not_fit_is_400_and_named(
    client: AsgiClient, body: dict[str, Any]
) -> None:
    answer = await client.post("/api/jobs/bulk", body)
    assert (answer.status, answer.json["field"]) == (400, next(iter(body), "jobs"))


async def test_too_many_submits_are_429_with_a_time_to_wait(backend: Backend) -> None:
    client = client_of(backend, rate_limit="2/minute")
    statuses = [(await client.post("/api/jobs", JOB)).status for _ in range(3)]
    assert statuses == [202, 202, 429]
    refused = await client.post("/api/jobs", JOB)
    assert refused.json["type"] == "rate-limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 120


async def test_a_full_queue_is_429_and_other_queues_are_open(backend: Backend) -> None:
    client = client_of(backend, max_queue_size=1)
    other = client_of(backend)
    for _ in range(2):
        assert (await other.post("/api/jobs", JOB)).status == 202
    assert sum(depth.ready for depth in await backend.queue.depths()) == 2
    assert (await client.post("/api/jobs", JOB)).json["type"] == "queue-full"
    assert (await client.post("/api/jobs", JOB | {"queue": "other"})).status == 202
    assert QueueDepth("default", "normal", 2) in await backend.queue.depths()


async def test_a_burst_fills_a_queue_no_further_than_its_limit(backend: Backend) -> None:
    client = client_of(backend, max_queue_size=2)
    statuses = [(await client.post("/api/jobs", JOB)).status for _ in range(6)]
    assert statuses == [202, 202, 202, 429, 429, 429]
    bulk = await client.post("/api/jobs/bulk", {"jobs": [JOB | {"queue": "other"}] * 3})
    assert bulk.status == 202
    assert (await client.post("/api/jobs", JOB | {"queue": "other"})).status == 429


async def test_an_address_that_the_job_before_hands_on_is_left_to_the_call(
    client: AsgiClient,
) -> None:
    step = {"type": "http.request", "payload": {"method": "GET"}}
    missing = await client.post("/api/jobs", JOB | {"then": [step]})
    assert (missing.status, missing.json["field"]) == (400, "then.0.payload.targetUrl")
    step["results"] = {"targetUrl": "previous"}
    assert (await client.post("/api/jobs", JOB | {"then": [step]})).status == 202
