"""Any JSON value in any place of a body is taken or refused by name; no error reaches the top.

The bodies are those of the API's own description, and one request with every field: what somebody
adds there is tried here.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from jobfleet_backends.rabbitmq.message_codec import decode_message as decode_amqp
from jobfleet_backends.sql.message_codec import decode_message as decode_row
from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest, Then
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage
from tests.backends.rabbitmq.received import received
from tests.entrances.entrances import Site

STEP: dict[str, Any] = {
    "type": "report",
    "when": "success",
    "jobName": "report",
    "payload": {"title": "a"},
    "results": {"rows": "previous"},
    "priority": 3,
    "queue": "reports",
    "maxAttempts": 2,
    "timeoutSeconds": 3,
    "onLost": "retry",
    "lockKey": "reports",
    "callbackUrl": "https://example.org/ended",
    "then": [{"type": "mail", "payload": {"to": {"name": "a"}}}],
}
JOB: dict[str, Any] = {
    "jobId": "0197f0c2-6d5e-7c3a-9f58-2b1d3e4f5a6b",
    "type": "import",
    "jobName": "import",
    "description": "of the night",
    "inputFilePath": "rows.csv",
    "limits": ["database"],
    "payload": {"rows": [1]},
    "processingParameters": {"size": {"rows": 1}},
    "context": {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
    "priority": 4,
    "queue": "default",
    "runAt": "2026-01-31T09:30:00Z",
    "createdAt": "2026-01-31T09:30:00Z",
    "maxAttempts": 1,
    "retryDelaySeconds": 1,
    "timeoutSeconds": 3,
    "onLost": "retry",
    "maxTakeovers": 1,
    "lockKey": "imports",
    "lockSlots": 2,
    "callbackUrl": "https://example.org/ended",
    "then": [STEP],
}
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**63, "", "a", "\x00", "\x1b[2J", "x" * 300, "../a", [], [[]], [{}],
    {}, {"a": 1}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
)  # fmt: skip
FEW: tuple[Any, ...] = (None, 1.5, "a", "0001-01-01T00:00:00Z", [{}], {"a": 1})


def placed(body: Any, values: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the body with each value in each place, one at a time."""
    for place in _places(body):
        for value in values:
            changed: Any = {"body": copy.deepcopy(body)}
            inner = changed
            for part in ("body", *place[:-1]) if place else ():
                inner = inner[part]
            inner[place[-1] if place else "body"] = value
            yield changed["body"]


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for part, inner in parts if isinstance(value, dict | list) else ():
        if isinstance(inner, dict | list):
            yield from _places(inner, (*place, part))
        else:
            yield (*place, part)


def test_the_request_fits_and_has_every_field_as_its_step_does() -> None:
    JobRequest.parse(JOB)
    only_ours = {"follows", "results", "member"}
    wire = {field.alias for field in JobRequest.model_fields.values()} - only_ours
    assert wire <= JOB.keys(), wire - JOB.keys()
    assert {field.alias for field in Then.model_fields.values()} == STEP.keys()


def test_a_request_with_it_is_read_or_refused_at_once() -> None:
    refused = 0
    for request in placed(JOB, VALUES):
        try:
            JobRequest.parse(request)
        except InvalidRequest:
            refused += 1
    assert refused > 100


def test_a_step_without_results_takes_any_payload() -> None:
    for payload in ("a", 1, 1.5, True, [1], {"a": 1}, None):
        parsed = JobRequest.parse({"type": "import", "then": [{"type": "b", "payload": payload}]})
        assert parsed.then[0].payload == payload


def test_a_message_with_it_is_a_job_or_malformed_with_a_reason_for_people() -> None:
    for request in placed(JOB, VALUES):
        body = encode(request)
        for read in (decode_row(body, None), decode_amqp(received(body, headers={}), key=b"k")):
            if isinstance(read, MalformedMessage):
                assert read.reason
                assert "object" not in read.reason or "attribute" not in read.reason, request


async def test_no_route_answers_500_to_it(site: Site) -> None:
    dashboard = site.dashboard
    description = dashboard.app.openapi()
    group = (await dashboard.post("/api/groups", {"name": "all"})).json["jobId"]
    await dashboard.request("PUT", "/api/schedules/a", body={"type": "a", "everySeconds": 3600})
    asked = 0
    for method, path, body in _described_bodies(description):
        address = path.replace("{jobId}", group if "/groups/" in path else new_id())
        for part in ("name", "queue", "type"):
            address = address.replace(f"{{{part}}}", "a")
        address = address.replace("{actionId}", new_id())
        for changed in placed(body, FEW):
            sent = json.dumps(changed).encode()
            answer = await dashboard.request(method, address, body=sent)
            assert answer.status < 500, (method, path, changed, answer.body[:200])
            asked += 1
    assert asked > 300


def _described_bodies(description: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and example of each body that the API describes, callbacks left out."""
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or "/callbacks/" in path:
                continue
            examples = content.get("examples", {"": {"value": content.get("example")}})
            for example in examples.values():
                yield method.upper(), path, example["value"]
