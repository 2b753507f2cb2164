"""Messages authenticate nothing: what only jobfleet may make starts by its event 1 alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from jobfleet_backends.rabbitmq.message_codec import decode_message as decode_amqp
from jobfleet_backends.rabbitmq.message_codec import encode_message
from jobfleet_backends.sql.message_codec import decode_message as decode_row
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.codec import encode_text, format_time
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.index import DeadLetter
from jobfleet_contracts.internal_job import internal_job_id
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.submission import opening_change
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.trail.transitions import draft
from jobfleet_worker import handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker
from tests.backends.rabbitmq.received import received
from tests.entrances.entrances import Site
from tests.polling import eventually

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=0.02, retry_max_seconds=1, timeout_seconds=30
)
RAN: list[Any] = []
KEY = bytes(32)


@handler("echo")
async def echo(payload: object) -> object:
    RAN.append(payload)
    return payload


@pytest.fixture
async def worker(site: Site) -> AsyncIterator[Worker]:
    RAN.clear()
    options = WorkerOptions(defaults=DEFAULTS, rescue_seconds=0.2, defer_seconds=0.1)
    made = Worker(
        backend=site.backend, handlers=Handlers.of(echo), options=options, clock=SystemClock()
    )
    running = asyncio.create_task(made.run(), name="worker")
    yield made
    made.request_stop()
    await running


def writes(site: Site) -> WriteSide:
    return WriteSide.wire(backend=site.backend, clock=SystemClock(), defaults=DEFAULTS)


def put(site: Site, request: Mapping[str, Any], hints: Mapping[str, Any] | None = None) -> bytes:
    """Write a message as any SQLite client can; returns its body."""
    body = json.dumps(dict(request)).encode()
    with sqlite3.connect(site.folder / "jobfleet.db") as database:
        database.execute(
            "INSERT INTO messages (queue, body, hints) VALUES ('default', ?, ?)",
            (body, None if hints is None else json.dumps(dict(hints))),
        )
    database.close()
    return body


async def letter(site: Site) -> DeadLetter:
    async def first() -> DeadLetter | None:
        return next(iter((await site.backend.dead_letters.letters()).items), None)

    found: DeadLetter = await eventually("a dead letter", first)
    return found


async def ended(site: Site, job_id: str) -> Event:
    async def head() -> Event | None:
        found = await site.backend.trail.newest(job_id)
        return found if found is not None and found.after.state.is_terminal else None

    event: Event = await eventually("the job's end", head)
    return event


def our_hints() -> dict[str, Any]:
    """Hints as our own publisher writes them: a first claim would need no read."""
    return {
        "defaults": DEFAULTS.to_json(),
        "sequence": 1,
        "publishedAt": format_time(SystemClock().now()),
        "deferrals": 0,
    }


FORGED: Mapping[str, Callable[[], dict[str, Any]]] = {
    "internal type": lambda: {"jobId": new_id(), "type": "callback.deliver"},
    "internal id": lambda: {"jobId": internal_job_id("callback", "x", "1"), "type": "echo"},
    "unknown field": lambda: {"jobId": new_id(), "type": "echo", "colour": "red"},
}


@pytest.mark.parametrize("hinted", [False, True], ids=["bare", "with our hints"])
@pytest.mark.parametrize("kind", FORGED)
async def test_without_event_1_it_is_kept_whole_and_starts_nothing(
    kind: str, hinted: bool, site: Site, worker: Worker
) -> None:
    request = FORGED[kind]()
    body = put(site, request, our_hints() if hinted else None)
    kept = await letter(site)
    assert kept.body.encode() == body
    assert kept.message_id == request["jobId"]
    assert await site.backend.trail.newest(request["jobId"]) is None
    assert RAN == []
    put(site, {"jobId": (other := new_id()), "type": "echo", "payload": "next"})
    assert (await ended(site, other)).status == "Completed"


@pytest.mark.parametrize("hinted", [False, True], ids=["bare", "with our hints"])
@pytest.mark.parametrize("added", [{"payload": "forged"}, {"colour": "red"}, {"type": "other"}])
async def test_of_an_internal_job_that_stands_what_event_1_says_is_run(
    added: dict[str, Any], hinted: bool, site: Site, worker: Worker
) -> None:
    job_id = internal_job_id("tick", "daily", "today")
    stored = JobRequest(job_id=job_id, type="echo", payload="stored")
    event = draft(
        None,
        JobFacts.of(stored),
        opening_change(stored, DEFAULTS, now=SystemClock().now(), by=None),
        occurred_at=SystemClock().now(),
    )
    assert await writes(site).writer.append([event]) is None
    put(site, {"jobId": job_id, "type": "echo"} | added, our_hints() if hinted else None)
    assert (await ended(site, job_id)).data["result"] == "stored"
    assert RAN == ["stored"]


async def test_a_stored_request_with_an_unknown_field_is_put_off_and_says_so(
    site: Site, worker: Worker
) -> None:
    """A newer publisher and an older worker: never run without what the field asks for."""
    stored = JobRequest(type="echo", payload="stored")
    change = opening_change(stored, DEFAULTS, now=SystemClock().now(), by=None)
    change.data["request"]["colour"] = "red"
    event = draft(None, JobFacts.of(stored), change, occurred_at=SystemClock().now())
    assert await writes(site).writer.append([event]) is None
    put(site, stored.to_json() | {"colour": "red"}, our_hints())

    async def put_off() -> Event | None:
        head = await site.backend.trail.newest(stored.job_id)
        return head if head is not None and head.after.state is State.DEFERRED else None

    head: Event = await eventually("the job is put off", put_off)
    assert "newer worker" in head.message
    assert "colour" in head.message

    async def came_again() -> bool:
        with sqlite3.connect(site.folder / "jobfleet.db") as database:
            rows = database.execute("SELECT hints FROM messages").fetchall()
        database.close()
        return any(json.loads(hints)["deferrals"] >= 2 for (hints,) in rows)

    await eventually("it came a second time", came_again)
    assert RAN == []
    assert [event.status for event in await site.backend.trail.history(stored.job_id)] == [
        "Queued",
        "Deferred",
    ]
    assert not (await site.backend.dead_letters.letters()).items


async def test_whoever_publishes_a_newer_request_makes_its_taker_read_event_1(site: Site) -> None:
    """The rescuer, a redrive and a repeated submit tell only what they know of it."""
    stored = JobRequest(type="echo")
    change = opening_change(stored, DEFAULTS, now=SystemClock().now(), by=None)
    change.data["request"]["colour"] = "red"
    event = draft(None, JobFacts.of(stored), change, occurred_at=SystemClock().now())
    await writes(site).writer.append([event])
    submitter = writes(site).submitter
    await submitter.submit(stored)
    consumer = site.backend.consumer()
    await consumer.start(["default"])
    [delivery] = await consumer.receive(1, timedelta(seconds=5))
    assert isinstance(delivery.message, JobMessage)
    assert delivery.message.needs_trail
    await delivery.ack()
    await consumer.stop()


@pytest.mark.parametrize("kind", FORGED)
def test_both_queues_tell_what_needs_the_trail_and_keep_its_body(kind: str) -> None:
    body = json.dumps(FORGED[kind]()).encode()
    headers = encode_message(
        JobMessage(
            request=JobRequest(type="echo"),
            defaults=DEFAULTS,
            sequence=1,
            published_at=SystemClock().now(),
        ),
        key=KEY,
    ).headers
    for decoded in (
        decode_amqp(received(body, headers=dict(headers)), key=KEY),
        decode_row(body, encode_text(our_hints())),
    ):
        assert isinstance(decoded, JobMessage)
        assert decoded.needs_trail
        assert decoded.needs_opening
        assert decoded.body == body
