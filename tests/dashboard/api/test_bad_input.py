"""What no text holds, what no number is, what is nested for ever: 400 naming the field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dashboard.api.asgi_client import Answer, AsgiClient

DEEP = b"[" * 10_000 + b"]" * 10_000
UNREADABLE = {
    "control character": b'"a\x00b"',
    "escaped control character": b'"a\\u0000b"',
    "escape sequence": b'"\\u001b[2J"',
    "lone surrogate": b'"\\ud800"',
    "reversed pair": b'"\\udc00\\ud800"',
    "no UTF-8": b'"\xff"',
    "NaN": b"NaN",
    "infinite": b"-Infinity",
    "beyond any number": b"1e999",
    "10,000 levels": DEEP,
    "200 levels": b"[" * 200 + b"]" * 200,
}


async def _posted(client: AsgiClient, path: str, body: bytes) -> Answer:
    return await client.request("POST", path, body=body)


def _is_refused(answer: Answer, what: str, *fields: str) -> None:
    assert answer.status == 400, (what, answer.body[:300])
    assert answer.json["field"] in {"body", *fields}, what
    assert answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"type":"a","payload":%b}', "payload"),
        (b'{"type":"a","payload":{"rows":[{"name":%b}]}}', "payload"),
        (b'{"type":"a","jobName":%b}', "jobName"),
        (b'{"type":"a","description":%b}', "description"),
        (b'{"type":"a","processingParameters":{"a":%b}}', "processingParameters"),
    ],
)
async def test_a_job_that_holds_it(client: AsgiClient, body: bytes, field: str) -> None:
    for name, value in UNREADABLE.items():
        _is_refused(await _posted(client, "/api/jobs", body % value), name, field)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"job_name": "a"}, "unknown field: job_name"),
        ({"jobName": "a" * 201}, "jobName: String should have at most 200 characters"),
        ({"lockKey": ""}, "lockKey: String should have at least 1 character"),
        ({"jobId": "a"}, "jobId: must be a UUID; leave it out to have one made"),
        ({"runAt": "soon"}, "runAt: 'soon' is not a time; write it as 2026-01-31T09:30:00Z"),
        ({"createdAt": "1600-12-31T23:59:59Z"}, "createdAt: must not lie before the year 1601"),
        ({"createdAt": "9001-01-01T00:00:00Z"}, "createdAt: must not lie after the year 9000"),
        ({"callbackUrl": "a"}, "callbackUrl: must be an http or https address"),
    ],
)
async def test_a_field_that_does_not_fit_is_named_with_the_remedy(
    client: AsgiClient, fields: dict[str, str], detail: str
) -> None:
    answer = await client.request("POST", "/api/jobs", body={"type": "a"} | fields)
    assert (answer.status, answer.json["detail"]) == (400, detail)


async def test_a_time_in_the_query_that_is_none_is_named_with_the_remedy(
    client: AsgiClient,
) -> None:
    answer = await client.request("GET", "/api/jobs", query={"since": "soon"})
    detail = "since: 'soon' is not a time; write it as 2026-01-31T09:30:00Z"
    assert (answer.status, answer.json["detail"]) == (400, detail)


async def test_a_name_within_the_payload_that_holds_it(client: AsgiClient) -> None:
    answer = await _posted(client, "/api/jobs", b'{"type":"a","payload":{"\\u0007":1}}')
    _is_refused(answer, "bell", "payload")


async def test_tabs_and_line_breaks_are_text(client: AsgiClient) -> None:
    answer = await _posted(client, "/api/jobs", b'{"type":"a","payload":"a\\tb\\r\\nc"}')
    assert answer.status == 202


async def test_one_of_many_jobs_that_holds_it(client: AsgiClient) -> None:
    """What is no JSON at all spoils the whole request, the rest one item."""
    for name, value in UNREADABLE.items():
        body = b'{"jobs":[{"type":"a"},{"type":"a","payload":%b}]}' % value
        answer = await _posted(client, "/api/jobs/bulk", body)
        if answer.status == 202:
            good, bad = answer.json["items"]
            assert good["state"] == "queued"
            assert (bad["error"]["status"], bad["error"]["field"]) == (400, "payload"), name
        else:
            _is_refused(answer, name)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/jobs/actions", b'{"action":%b,"ids":["a"]}', "action"),
        ("/api/jobs/actions", b'{"action":"cancel","ids":[%b]}', "ids"),
        ("/api/jobs/actions", b'{"action":"cancel","expected":1,"filter":{"q":%b}}', "filter.q"),
        ("/api/jobs/{id}/cancel", b'{"reason":%b}', "reason"),
        ("/api/jobs/{id}/redrive", b'{"why":%b}', "why"),
        ("/api/jobs/{id}/dismiss", b'{"why":%b}', "why"),
    ],
)
async def test_an_action_that_holds_it(
    client: AsgiClient, path: str, body: bytes, field: str
) -> None:
    job_id = (await client.post("/api/jobs", {"type": "a"})).json["jobId"]
    for name, value in UNREADABLE.items():
        answer = await _posted(client, path.replace("{id}", job_id), body % value)
        if answer.status == 202:  # one id among many is answered in its place
            (item,) = answer.json["items"]
            assert item["error"]["field"] == "ids", name
        else:
            _is_refused(answer, name, field)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"X-A": "a\r\nX-B: b"}, "headers.X-A"),
        ({"X-A": "a\x00"}, "headers.X-A"),
        ({"X-A": "\u2013"}, "headers.X-A"),
        ({"X-A": 7}, "headers.X-A"),
        ({"X-A": "x" * 9000}, "headers.X-A"),
        ({"X A": "1"}, "headers"),
        ({"": "1"}, "headers"),
        ({f"X-{n}": "1" for n in range(101)}, "headers"),
        (["X-A"], "headers"),
    ],
)
async def test_a_header_that_no_call_can_carry(
    client: AsgiClient, headers: Any, field: str
) -> None:
    call = {"targetUrl": "https://example.org/", "headers": headers}
    short = await client.post("/api/jobs", call)
    assert (short.status, short.json["field"]) in {(400, field), (400, "payload")}
    for job_type in ("http.request", "external.call"):
        whole = await client.post("/api/jobs", {"type": job_type, "payload": call})
        assert (whole.status, whole.json["field"]) in {(400, f"payload.{field}"), (400, "payload")}


@pytest.mark.parametrize(
    "url", ["", "example.org", "http:///", "http://a\nb", "http://a b", 7, None]
)
async def test_a_target_that_is_no_address(client: AsgiClient, url: Any) -> None:
    short = await client.post("/api/jobs", {"targetUrl": url})
    assert (short.status, short.json["field"]) == (400, "targetUrl")
    whole = await client.post("/api/jobs", {"type": "http.request", "payload": {"targetUrl": url}})
    assert (whole.status, whole.json["field"]) == (400, "payload.targetUrl")


@pytest.mark.parametrize("key", ["\x01", "a\tb", "", "x" * 256, "\x9f"])
async def test_an_idempotency_key_that_nobody_can_read(client: AsgiClient, key: str) -> None:
    for path, body in (("/api/jobs", {"type": "a"}), ("/api/jobs/bulk", {"jobs": [{"type": "a"}]})):
        answer = await client.post(path, body, headers={"Idempotency-Key": key})
        assert (answer.status, answer.json["field"]) == (400, "Idempotency-Key")
