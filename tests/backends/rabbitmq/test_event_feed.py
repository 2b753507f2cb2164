"""Live events: best effort, never in anybody's way."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.event_feed import BUFFERED_EVENTS, RabbitEventFeed, routing_key
from jobfleet_backends.rabbitmq.subscription import Subscription
from jobfleet_backends.rabbitmq.topology import Route
from jobfleet_contracts.event import Event, JobFacts, JobState
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State
from tests.backends.rabbitmq import foreign_client
from tests.polling import eventually

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def an_event(status: str = "Started", queue: str = "default") -> Event:
    return Event(
        facts=JobFacts(new_id(), "a job", "test", queue, 5, None, NOON),
        after=JobState(state=State.RUNNING, sequence=2, epoch=1, attempt=1),
        event_id=new_id(),
        status=status,
        message="",
        occurred_at=NOON,
    )


@pytest.mark.parametrize(
    ("status", "key"),
    [
        ("Queued", "mail.queued"),
        ("RetryScheduled", "mail.retryScheduled"),
        ("TimedOut", "mail.timedOut"),
        ("Step 17", "mail.step"),
    ],
)
def test_the_routing_key_is_queue_and_event_in_lower_camel_case(status: str, key: str) -> None:
    assert routing_key(an_event(status, "mail")) == key


@pytest.fixture
async def feed(broker: RabbitMQ) -> AsyncIterator[RabbitEventFeed]:
    opened = RabbitEventFeed(rabbitmq=broker)
    yield opened
    await opened.close()


async def test_a_subscriber_sees_events_as_the_api_shows_them(
    feed: RabbitEventFeed, broker: RabbitMQ
) -> None:
    topology = broker.topology
    route = Route(topology.events, "default.*", topology.declare_events)
    subscription = Subscription(rabbitmq=broker, route=route, most_bytes=100_000)
    seen: list[dict[str, Any]] = []
    event = an_event()

    async def watch() -> None:
        async for body in subscription.bodies():
            seen.append(json.loads(body))  # noqa: PERF401 - while it comes

    async def is_seen() -> bool:
        feed.announce([event, an_event(queue="other")])
        return bool(seen)

    watching = asyncio.create_task(watch())
    await eventually("the event is seen", is_seen)
    watching.cancel()
    assert {shown["eventId"] for shown in seen} == {event.event_id}
    assert seen[0] == event.to_json()


async def test_an_event_carries_cloud_events_attributes_and_is_not_persistent(
    feed: RabbitEventFeed, broker: RabbitMQ, rabbitmq: RabbitMQServer
) -> None:
    feed.announce([an_event()])  # declares the exchange
    event = an_event("Completed")
    with foreign_client.channel(rabbitmq.url) as channel:
        await eventually("the exchange is there", lambda: _is_there(broker))
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, broker.topology.events, "default.completed")
        feed.announce([event])
        _, properties, _ = await asyncio.to_thread(
            next, channel.consume(queue, inactivity_timeout=5)
        )
    assert properties.delivery_mode == 1
    assert properties.headers["cloudEvents:id"] == event.event_id
    assert properties.headers["cloudEvents:type"] == "jobfleet.job.Completed"
    assert properties.headers["cloudEvents:subject"] == event.job_id


async def _is_there(broker: RabbitMQ) -> bool:
    channel = await broker.consuming.channel()
    try:
        await channel.declare_exchange(broker.topology.events, passive=True)
    except Exception:  # noqa: BLE001 - whatever it is, it is not there yet
        return False
    return True


async def test_announcing_without_a_broker_neither_waits_nor_raises_nor_grows(
    namespace: str,
) -> None:
    away = RabbitMQ(url="amqp://guest:guest@127.0.0.1:1/", namespace=namespace)
    feed = RabbitEventFeed(rabbitmq=away)
    before = time.monotonic()
    for _ in range(BUFFERED_EVENTS + 500):
        feed.announce([an_event()])
    assert time.monotonic() - before < 5
    assert len(feed._buffer) <= BUFFERED_EVENTS
    await eventually("all are dropped", lambda: _is_empty(feed))
    await feed.close()
    await away.close()


async def _is_empty(feed: RabbitEventFeed) -> bool:
    return not feed._buffer
