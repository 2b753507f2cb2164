"""``http.request`` jobs: what is sent, what ends a job, what is tried again."""

import json
from typing import Any

import pytest

from jobfleet_contracts.state import State
from jobfleet_dashboard.api.short_form import expand
from tests.worker.builtin.conftest import Workshop
from tests.worker.outbound.target_server import TargetServer, answering, hanging

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_every_attempt_carries_the_same_key_a_rising_token_and_the_trace(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start()
    target.answer = answering(503)
    history = await workshop.run(
        "http.request",
        {"targetUrl": target.url("/a"), "method": "POST", "payload": {"n": 1}},
        context={"traceparent": TRACE},
    )
    headers = [each for _, _, each, _ in target.requests]
    assert len(headers) == 3
    assert len({each["Idempotency-Key"] for each in headers}) == 1
    assert [each["X-Fencing-Token"] for each in headers] == ["1", "2", "3"]
    assert {each["traceparent"].split("-")[1] for each in headers} == {TRACE.split("-")[1]}
    assert {each["Content-Type"] for each in headers} == {"application/json"}
    assert history[-1].after.state is State.FAILED
    assert history[-1].data["response"]["statusCode"] == 503


@pytest.mark.parametrize(
    ("status", "attempts", "state"),
    [
        (200, 1, State.COMPLETED),
        (204, 1, State.COMPLETED),
        (302, 1, State.FAILED),
        (400, 1, State.FAILED),
        (404, 1, State.FAILED),
        (408, 2, State.FAILED),
        (429, 2, State.FAILED),
        (500, 2, State.FAILED),
        (503, 2, State.FAILED),
    ],
)
async def test_a_status_completes_is_tried_again_or_fails_at_once(
    workshop: Workshop, target: TargetServer, status: int, attempts: int, state: State
) -> None:
    workshop.start()
    target.answer = answering(status)
    history = await workshop.run("http.request", {"targetUrl": target.url()}, maxAttempts=2)
    assert len(target.requests) == attempts
    assert history[-1].after.state is state
    found = history[-1].data.get("response") or history[-1].data["result"]
    assert found["statusCode"] == status


async def test_the_expected_status_alone_is_success(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start()
    payload = {"targetUrl": target.url(), "expectStatus": [404, 410]}
    assert (await workshop.run("http.request", payload))[-1].after.state is State.FAILED
    target.answer = answering(410)
    assert (await workshop.run("http.request", payload))[-1].after.state is State.COMPLETED


async def test_a_target_that_hangs_fails_the_attempt_and_says_so(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start()
    target.answer = hanging
    payload = {"targetUrl": target.url(), "timeoutSeconds": 0.2}
    history = await workshop.run("http.request", payload, maxAttempts=1)
    assert "within 0.2 s" in history[-1].message
    assert history[-1].data["response"]["durationMs"] >= 200


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"targetUrl": "http://169.254.169.254/"}, "metadata"),
        ({"targetUrl": "ftp://example.org/"}, "only http and https"),
        ({"targetUrl": "http://example.org/", "headers": {"Host": "x"}}, "header Host"),
        ({"targetUrl": "http://example.org/", "method": "TRACE"}, "payload.method"),
        ({"targetUrl": "http://example.org/", "payload": 1, "body": "x"}, "exclude each other"),
        ({"targetUrl": "http://example.org/", "colour": "red"}, "payload.colour"),
        ({}, "payload.targetUrl"),
    ],
)
async def test_what_cannot_be_called_fails_at_once_with_the_reason_in_the_trail(
    workshop: Workshop, payload: dict[str, Any], reason: str
) -> None:
    workshop.start()
    history = await workshop.run("http.request", payload)
    assert history[-1].after.state is State.FAILED
    assert history[-1].after.attempts_used == 1
    assert reason in history[-1].message


async def test_secrets_and_credentials_are_shown_nowhere(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start(
        allowed_hosts=("127.0.0.1",),
        secrets={"TOKEN": "s3cret-value"},
        allow_secrets_over_http=True,
    )
    headers = {"X-Key": "${secret:TOKEN}", "Authorization": "Bearer literal-one"}
    payload = {"targetUrl": target.url(), "headers": headers}
    history = await workshop.run("http.request", payload)
    sent = target.requests[0][2]
    assert (sent["X-Key"], sent["Authorization"]) == ("s3cret-value", "Bearer literal-one")
    shown = json.dumps([event.to_json() for event in history])
    assert "${secret:TOKEN}" in shown
    assert "s3cret-value" not in shown
    assert "literal-one" not in shown


async def test_the_short_form_is_such_a_job(workshop: Workshop, target: TargetServer) -> None:
    workshop.start()
    target.answer = answering(500)
    job = expand({"targetUrl": target.url(), "method": "PUT", "maxRetries": 1, "retryDelay": 50})
    await workshop.run(job.pop("type"), job.pop("payload"), **job)
    assert [method for method, *_ in target.requests] == ["PUT", "PUT"]
