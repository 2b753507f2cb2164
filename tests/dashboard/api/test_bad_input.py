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
VALUES = pytest.mark.parametrize("value", UNREADABLE.values(), ids=list(UNREADABLE))


async def _posted(client: AsgiClient, path: str, body: bytes) -> Answer:
    return await client.request("POST", path, body=body)


def _is_refused(answer: Answer, *fields: str) -> None:
    assert answer.status == 400, answer.body[:300]
    assert answer.json["field"] in {"body", *fields}
    assert answer.json["detail"]


@VALUES
@pytest.mark.parametrize("field", ["payload", "jobName", "description", "processingParameters"])
async def test_a_job_that_holds_it(client: AsgiClient, field: str, value: bytes) -> None:
    body = b'{"type":"a","%b":%b}' % (field.encode(), value)
    _is_refused(await _posted(client, "/api/jobs", body), field)


@VALUES
async def test_a_job_that_holds_it_deep_inside(client: AsgiClient, value: bytes) -> None:
    body = b'{"type":"a","payload":{"rows":[{"name":%b}]}}' % value
    _is_refused(await _posted(client, "/api/jobs", body), "payload")


async def test_a_name_within_the_payload_that_holds_it(client: AsgiClient) -> None:
    _is_refused(
        await _posted(client, "/api/jobs", b'{"type":"a","payload":{"\\u0007":1}}'), "payload"
    )


async def test_tabs_and_line_breaks_are_text(client: AsgiClient) -> None:
    answer = await _posted(client, "/api/jobs", b'{"type":"a","payload":"a\\tb\\r\\nc"}')
    assert answer.status == 202


@VALUES
async def test_one_of_many_jobs_that_holds_it(client: AsgiClient, value: bytes) -> None:
    """What is no JSON at all spoils the whole request, the rest one item."""
    body = b'{"jobs":[{"type":"a"},{"type":"a","payload":%b}]}' % value
    answer = await _posted(client, "/api/jobs/bulk", body)
    if answer.status == 202:
        good, bad = answer.json["items"]
        assert good["state"] == "queued"
        assert (bad["error"]["status"], bad["error"]["field"]) == (400, "payload")
    else:
        _is_refused(answer)


@VALUES
@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/api/jobs/actions", b'{"action":%b,"ids":["a"]}', {"action"}),
        ("/api/jobs/actions", b'{"action":"cancel","ids":[%b]}', {"ids"}),
        ("/api/jobs/actions", b'{"action":"cancel","expected":1,"filter":{"q":%b}}', {"filter.q"}),
        ("/api/jobs/{id}/cancel", b'{"reason":%b}', {"reason"}),
        ("/api/jobs/{id}/redrive", b'{"why":%b}', {"why"}),
        ("/api/jobs/{id}/dismiss", b'{"why":%b}', {"why"}),
    ],
)
async def test_an_action_that_holds_it(
    client: AsgiClient, path: str, body: bytes, fields: set[str], value: bytes
) -> None:
    job_id = (await client.post("/api/jobs", {"type": "a"})).json["jobId"]
    answer = await _posted(client, path.replace("{id}", job_id), body % value)
    if answer.status != 202:  # one id among many is answered in its place
        _is_refused(answer, *fields)
    else:
        (item,) = answer.json["items"]
        assert item["error"]["status"] in (400, 404)


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
