"""No body that the limits admit holds the loop, whichever route it is sent to."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from urllib.parse import quote_plus

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.json_size import MAX_VALUES, JsonCounter
from jobfleet_dashboard.security.body_limit import MAX_BODY_BYTES, MAX_BULK_BYTES, limit_of
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.loop_steps import measured_steps
from tests.yardstick import slowness

SECRET = "a secret of the third party"
FORM = {"content-type": "application/x-www-form-urlencoded"}
LONGEST_STEP_SECONDS = 0.1
TRIES = 3

Fill = Callable[[int], bytes]

UNKNOWN = "018f0000-0000-7000-8000-000000000001"
"""Fixed, since parallel test processes compare the names of tests."""


def _repeated(begin: str, part: str, end: str) -> Fill:
    def fill(size: int) -> bytes:
        count = (size - len(begin.encode()) - len(end.encode())) // len(part.encode())
        return (begin + part * count + end).encode()

    return fill


def _names(begin: str, value: str, end: str, *, most: int = 10**9) -> Fill:
    def fill(size: int) -> bytes:
        count = min(most, (size - len(begin) - len(end)) // (len(value) + 12))
        return (begin + ",".join(f'"{n:09x}":{value}' for n in range(count)) + end).encode()

    return fill


def _job(payload: Fill, reserve: int = 64) -> Fill:
    return lambda size: b'{"type":"x","payload":' + payload(size - reserve) + b"}"


def _bulk(item: Fill, count: int) -> Fill:
    def fill(size: int) -> bytes:
        one = item((size - 20) // count - 1)
        return b'{"jobs":[' + b",".join([one] * count) + b"]}"

    return fill


def _at_most(payload: Fill, values: int) -> Fill:
    """As many values as one job may have."""
    return lambda size: payload(min(size, values))


ZEROS = _repeated("[", "0,", "0]")
JSON_BODIES: dict[str, Fill] = {
    "zeros": ZEROS,
    "zeros in a job": _job(ZEROS),
    "zeros in jobs": _repeated('{"jobs":[', "0,", "0]}"),
    "as many zeros as a job may have": _job(_at_most(ZEROS, 2 * MAX_VALUES - 200)),
    "as many lists as a job may have": _job(
        _at_most(_repeated("[", "[],", "0]"), 3 * MAX_VALUES // 2 - 200)
    ),
    "as many names as a job may have": _job(_names("{", "0", "}", most=MAX_VALUES // 2 - 100)),
    "unknown fields": _names("{", "0", "}"),
    "as many unknown fields as a body may have": _names("{", "0", "}", most=MAX_VALUES // 2 - 100),
    "a name without end": _repeated('{"', "x", '":0}'),
    "one text": _job(_repeated('"', "x", '"')),
    "a text of escapes": _job(_repeated('"', "\\u00e9", '"')),
    "a text of commas and quotes": _job(_repeated('"', '\\",\\\\,', '"')),
    "a text beyond ASCII": _job(_repeated('"', "é", '"')),
    "empty texts": _job(_repeated("[", '"",', '""]')),
    "depth": _repeated("", "[", ""),
    "digits": _repeated("", "1", ""),
    "blanks": _repeated("{", " ", "}"),
    "no JSON": _repeated("", '"', ""),
    "ids": _repeated('{"action":"cancel","ids":[', '"x",', '"x"]}'),
    "filters": _names('{"action":"cancel","expected":1,"filter":{', '"x"', "}}"),
    "a bulk of the largest jobs": _bulk(_job(_repeated('"', "x", '"')), 17),
    "a bulk of a thousand jobs": _bulk(_job(_repeated('"', "x", '"')), 1000),
    "a bulk of the most values": _bulk(_job(_at_most(ZEROS, 2 * MAX_VALUES - 400)), 3),
    "a bulk of unknown fields": _bulk(_names("{", "0", "}", most=140), 1000),
}
FORM_BODIES: dict[str, Fill] = {
    "fields": _repeated("", "a=b&", ""),
    "separators": _repeated("", "&", ""),
    "escapes": _repeated("key=", "%C3%A9", ""),
    "escapes in a payload": _repeated("type=x&payload=%22", "%41", "%22"),
    "plus signs": _repeated("type=x&payload=%22", "+", "%22"),
    "zeros in a payload": lambda size: b"type=x&payload=" + ZEROS(size - 100),
    "the most zeros in a payload": lambda size: (
        b"type=x&payload=" + ZEROS(min(size - 100, 2 * MAX_VALUES - 200))
    ),
    "JSON": _job(ZEROS),
    "ids": _repeated("action=cancel&", f"id={UNKNOWN}&", ""),
    "filters": _repeated("action=cancel&all=1&", "filter.type=x&", ""),
    "a name without end": _repeated("", "x", "=1"),
}


@pytest.fixture
def signed(backend: Backend) -> AsgiClient:
    """A dashboard that takes callbacks."""
    return client_of(backend, callback_secrets=(SECRET,), rate_limit="100000/minute")


def _signature(body: bytes) -> dict[str, str]:
    return {"X-HMAC-SHA256": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


def _is_short(seconds: float) -> bool:
    return seconds < LONGEST_STEP_SECONDS or seconds < LONGEST_STEP_SECONDS * slowness()


@pytest.mark.parametrize("kind", [*JSON_BODIES, *(f"form of {name}" for name in FORM_BODIES)])
async def test_no_body_holds_the_loop_whatever_the_route(
    signed: AsgiClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name = kind.removeprefix("form of ")
    fill, headers = (JSON_BODIES[name], {}) if name == kind else (FORM_BODIES[name], FORM)
    job_id = new_id()
    with_body = [
        route for route in all_routes(signed.app) if (route.methods or set()) - {"GET", "HEAD"}
    ]
    assert len(with_body) > 10
    with measured_steps(monkeypatch) as steps:
        for route in with_body:
            address = addressed(route, job_id)
            body = fill(limit_of(address))
            sent = headers | (_signature(body) if address.startswith("/api/callbacks/") else {})
            method = min((route.methods or set()) - {"GET", "HEAD"})
            for _ in range(TRIES):
                await asyncio.sleep(0)  # ends the step that made the body
                steps.forget()
                answer = await signed.request(method, address, body=body, headers=sent)
                await asyncio.sleep(0)
                assert answer.status < 500, (address, answer.body[:300])
                if _is_short(steps.longest_seconds):
                    break
            else:
                pytest.fail(f"{address}: {steps}")


async def test_more_values_than_a_job_may_hold_are_refused_with_the_remedy(
    signed: AsgiClient,
) -> None:
    payload = [0] * (MAX_VALUES + 1)
    answer = await signed.post("/api/jobs", {"type": "x", "payload": payload})
    assert (answer.status, answer.json["field"]) == (400, "body")
    assert "100,000 values and names; store large inputs elsewhere" in answer.json["detail"]
    bulk = await signed.post("/api/jobs/bulk", {"jobs": [{"type": "x", "payload": payload}]})
    error = bulk.json["items"][0]["error"]
    assert (error["status"], error["field"]) == (400, "payload")
    form = f"type=x&payload={quote_plus(json.dumps(payload))}".encode()
    answer = await signed.post("/submit", form, headers=FORM)
    assert (answer.status, b"100,000 values" in answer.body) == (422, True)


async def test_ten_unknown_fields_are_named_and_the_others_counted(signed: AsgiClient) -> None:
    body = {f"field{n:03}": 0 for n in range(500)} | {"x" * 5000: 0, "type": "x"}
    answer = await signed.post("/api/jobs", body)
    assert answer.json["field"] == "field000"
    assert answer.json["detail"].startswith("unknown field: field000, field001,")
    assert answer.json["detail"].endswith("field009 and 491 more")
    answer = await signed.post("/api/jobs", {"x" * 5000: 0, "type": "x"})
    assert answer.json["detail"] == "unknown field: " + "x" * 100


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_values_are_counted_outside_of_texts_wherever_the_pieces_end(piece: int) -> None:
    text = json.dumps({"a,[{:": ['",\\"', "\\", {"b\\\\": 1}, [], "é,"]}).encode()
    counter = JsonCounter()
    for start in range(0, len(text), piece):
        counter.feed(text[start : start + piece])
    assert counter.values == 11  # the text, {, :, [, four commas, {, :, [


@pytest.mark.parametrize(
    ("address", "limit"),
    [
        ("/api/jobs", MAX_BODY_BYTES),
        ("/submit", MAX_BODY_BYTES),
        ("/api/jobs/bulk", MAX_BULK_BYTES),
        (f"/api/groups/{UNKNOWN}/members", MAX_BULK_BYTES),
        (f"/api/groups/{UNKNOWN}/seal", 256 * 1024),
        ("/login", 256 * 1024),
        ("/api/jobs/actions", 256 * 1024),
        (f"/api/jobs/{UNKNOWN}/cancel", 256 * 1024),
    ],
)
async def test_a_route_takes_no_more_bytes_than_it_needs(
    signed: AsgiClient, address: str, limit: int
) -> None:
    answer = await signed.post(address, b" " * (limit + 1))
    assert (answer.status, answer.json["limit"]) == (413, limit)
