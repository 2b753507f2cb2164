"""What travels, and what is refused, whatever a foreign client sends."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.dead_letter_queue import REASON, RabbitDeadLetterQueue
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.message_codec import decode_message, encode_message
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobDefaults, JobMessage, MalformedMessage
from tests.backends.rabbitmq import foreign_client
from tests.backends.rabbitmq.jobs import SOON, a_job, job_id, take
from tests.backends.rabbitmq.received import received

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
JOB = new_id()
KEY = bytes(range(32))
HINTS = JobMessage(
    request=a_job(context={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}).request,
    defaults=JobDefaults(3, 2.5, 300, 1800),
    sequence=7,
    published_at=NOON,
    due_at=NOON,
    deferrals=4,
    opening_hash="0f" * 32,
)


@pytest.mark.parametrize("message", [HINTS, a_job(payload=[1, "ü"]), replace(HINTS, sequence=None)])
async def test_a_message_comes_as_it_was_published(
    message: JobMessage, queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    await queue.publish(message)
    (delivery,) = await take(consumer)
    assert isinstance(delivery.message, JobMessage)
    assert delivery.message.request.to_json() == message.request.to_json()
    assert replace(delivery.message, request=message.request) == message


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        ({"type": "t", "jobId": JOB}, {}),
        ({"type": "t"}, {"message_id": JOB}),
        ({"type": "t", "jobId": None}, {"message_id": JOB}),
    ],
    ids=["id in the body", "id in the properties", "null in the body"],
)
async def test_a_foreign_client_names_the_job_in_body_or_properties(
    body: dict[str, Any],
    properties: dict[str, Any],
    consumer: RabbitJobConsumer,
    rabbitmq: RabbitMQServer,
    namespace: str,
) -> None:
    foreign_client.publish(
        rabbitmq.url, f"{namespace}.jobs", json.dumps(body).encode(), **properties
    )
    (delivery,) = await take(consumer)
    assert job_id(delivery) == JOB
    assert isinstance(delivery.message, JobMessage)
    assert (delivery.message.sequence, delivery.message.defaults) == (None, None)


def _json(**fields: Any) -> bytes:
    return json.dumps({"jobId": JOB, "type": "t", **fields}).encode()


MALFORMED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "not JSON": (b"hello", {}, "not valid JSON"),
    "not UTF-8": (b'{"jobId": "\xff\xfe"}', {}, "not valid JSON"),
    "no object": (b"[1]", {}, "JSON object"),
    "empty": (b"", {}, "not valid JSON"),
    "wrong type": (_json(priority="high"), {}, "priority"),
    "no id": (b'{"type": "t"}', {}, "neither jobId"),
    "bad id": (b'{"type": "t"}', {"message_id": "7"}, "jobId"),
    "2 MiB": (_json(payload="x" * 2 * 1024 * 1024), {}, "payload has 2,097,154 bytes"),
    "bad hint": (_json(), {"headers": {"jobfleet-sequence": "one"}}, "jobfleet-sequence"),
    "bad time": (_json(), {"headers": {"jobfleet-due-at": b"\xff"}}, "jobfleet-due-at"),
    "bad hash": (_json(), {"headers": {"jobfleet-opening-hash": "0"}}, "jobfleet-opening-hash"),
    "bad defaults": (_json(), {"headers": {"jobfleet-defaults": "[]"}}, "jobfleet-defaults"),
    "year 1": (_json(runAt="0001-01-01T00:00:00+23:59"), {}, ""),
    "unreadable timestamp": (_json(), {"timestamp": 2**63}, "properties cannot be read"),
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_a_malformed_message_ends_whole_in_the_dead_letter_queue_and_the_next_runs(
    kind: str,
    broker: RabbitMQ,
    consumer: RabbitJobConsumer,
    rabbitmq: RabbitMQServer,
    namespace: str,
) -> None:
    body, properties, reason = MALFORMED[kind]
    foreign_client.publish(rabbitmq.url, f"{namespace}.jobs", body, **properties)
    foreign_client.publish(rabbitmq.url, f"{namespace}.jobs", _json())
    (delivery,) = await take(consumer, limit=1)
    letter = delivery.message
    assert isinstance(letter, MalformedMessage)
    assert reason in letter.reason
    await RabbitDeadLetterQueue(rabbitmq=broker).add(letter)
    dead = await asyncio.to_thread(foreign_client.get, rabbitmq.url, f"{namespace}.dead")
    assert dead is not None
    assert (dead[1], dead[0].headers[REASON]) == (body, letter.reason)
    assert job_id((await consumer.receive(1, SOON))[0]) == JOB


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=200), headers=st.dictionaries(st.text(max_size=30), json_values))
def test_any_bytes_are_decoded_without_an_error(body: bytes, headers: dict[str, Any]) -> None:
    assert isinstance(decode_message(received(body, headers=headers), key=KEY), MalformedMessage)


fields = st.sampled_from(
    ["jobId", "type", "payload", "priority", "runAt", "createdAt", "lockKey", "context", "x"]
)
hints = st.sampled_from(
    ["sequence", "published-at", "due-at", "deferrals", "defaults", "unreadable"]
).map(lambda name: f"jobfleet-{name}")


@settings(max_examples=40, deadline=None)
@given(
    overrides=st.dictionaries(fields, json_values | st.datetimes().map(str)),
    headers=st.dictionaries(hints, json_values | st.binary(max_size=9)),
)
def test_any_json_and_any_hint_are_decoded_without_an_error(
    overrides: dict[str, Any], headers: dict[str, Any]
) -> None:
    body = json.dumps({"jobId": JOB, "type": "t"} | overrides).encode()
    decoded = decode_message(received(body, headers=headers), key=KEY)
    assert isinstance(decoded, JobMessage | MalformedMessage)


def test_a_foreign_trace_is_handed_on_to_the_handler() -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    decoded = decode_message(received(_json(), headers={"traceparent": trace}), key=KEY)
    assert isinstance(decoded, JobMessage)
    assert decoded.request.context == {"traceparent": trace}
    assert encode_message(decoded, key=KEY).headers["traceparent"] == trace


OURS = encode_message(HINTS, key=KEY)
OTHER = "1" * 64
DEFAULTS = {"maxAttempts": 9, "retryDelaySeconds": 1, "retryMaxSeconds": 1, "timeoutSeconds": 1}


def test_a_message_of_the_fleets_own_keeps_its_hints() -> None:
    assert _read(OURS.body, OURS.headers).defaults == HINTS.defaults


@pytest.mark.parametrize("key", [None, bytes(32)])
def test_without_the_key_of_the_fleet_a_message_proves_nothing(key: bytes | None) -> None:
    foreign = encode_message(HINTS, key=key)
    assert _proves_nothing(_read(foreign.body, foreign.headers))
    assert _proves_nothing(_read(OURS.body, OURS.headers, key=key))


@pytest.mark.parametrize(
    "changed",
    [
        {name: value}
        for name in OURS.headers
        if name.startswith("jobfleet-")
        for value in (None, 3, OTHER, "2026-01-31T12:00:00Z", json.dumps(DEFAULTS))
    ],
    ids=str,
)
def test_a_message_whose_hints_somebody_changed_proves_nothing(changed: dict[str, Any]) -> None:
    headers = {**OURS.headers, **changed}
    if headers == OURS.headers:
        return
    decoded = decode_message(received(OURS.body, headers=headers), key=KEY)
    assert isinstance(decoded, MalformedMessage) or _proves_nothing(decoded)


def test_a_message_whose_body_somebody_changed_proves_nothing() -> None:
    body = json.dumps(json.loads(OURS.body) | {"payload": "forged"}).encode()
    assert _proves_nothing(_read(body, OURS.headers))


def _read(body: bytes, headers: Any, *, key: bytes | None = KEY) -> JobMessage:
    decoded = decode_message(received(body, headers=dict(headers)), key=key)
    assert isinstance(decoded, JobMessage)
    return decoded


def _proves_nothing(message: JobMessage) -> bool:
    assert (message.defaults, message.opening_hash, message.published_at) == (None, None, None)
    return message.needs_trail
