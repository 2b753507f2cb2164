"""What a worker keeps of messages that any client of the broker may send is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from jobfleet_backends.rabbitmq.control_channel import MOST_BYTES
from jobfleet_backends.rabbitmq.job_queue import MOST_QUEUES, RabbitJobQueue
from jobfleet_backends.rabbitmq.subscription import KEPT_MESSAGES, Subscription
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage
from jobfleet_worker.run.cancel_listener import CancelListener
from jobfleet_worker.run.executor import EARLY_CANCELS, Executor
from jobfleet_worker.run.under_way import MOST_PUT_OFF, UnderWay

HUGE = "\U0001f600" + "a" * 100_000
MANY = 10_500


def _early_cancels() -> list[Any]:
    parts: Any = SimpleNamespace()
    executor = Executor(parts=parts)

    async def cancels() -> AsyncIterator[str]:
        for number in range(MANY):
            yield new_id()
            yield f"{number}{HUGE}" if number % 100 == 0 else f"{number}"

    channel: Any = SimpleNamespace(cancels=cancels)
    asyncio.run(CancelListener(control=channel, executor=executor)._listen())
    return list(executor._early_cancels)


def _announcements() -> list[Any]:
    broker: Any = SimpleNamespace(consuming=None)
    route: Any = None

    async def receive() -> Subscription:
        subscription = Subscription(rabbitmq=broker, route=route, most_bytes=MOST_BYTES)
        for size in [MOST_BYTES, MOST_BYTES + 1] * MANY:
            received: Any = SimpleNamespace(body=b"a" * size)
            await subscription._on_message(received)
        return subscription

    return list(asyncio.run(receive())._bodies)


def _foreign_messages() -> list[JobMessage]:
    first = JobMessage(request=JobRequest.model_validate({"type": "a", "payload": HUGE}))
    return [
        replace(
            first,
            request=first.request.model_copy(update={"job_id": new_id(), "queue": f"q{number}"}),
        )
        for number in range(MANY)
    ]


def _put_off() -> list[Any]:
    known = UnderWay()
    for message in _foreign_messages():
        known.add(message, timedelta(seconds=60), since=0)
    return [*known._put_off.items()]


def _queues() -> list[Any]:
    broker: Any = SimpleNamespace()
    queue = RabbitJobQueue(rabbitmq=broker, queues=["default"])
    for message in _foreign_messages():
        queue._know(message.request.queue)
    assert "default" in queue._known
    assert f"q{MANY - 1}" in queue._known
    return list(queue._known)


STORES: dict[str, tuple[Callable[[], list[Any]], int, int]] = {
    "cancels of jobs that do not run here": (_early_cancels, EARLY_CANCELS, 36),
    "announcements that are not read yet": (_announcements, KEPT_MESSAGES, MOST_BYTES),
    "messages that were put off": (_put_off, MOST_PUT_OFF, 500),
    "names of queues": (_queues, MOST_QUEUES, 100),
}
"""How to fill each store with hostile messages, and the most items and characters of each."""


@pytest.mark.parametrize("store", STORES)
def test_a_store_is_bounded_in_number_and_size(store: str) -> None:
    fill, most, longest = STORES[store]
    kept = fill()
    assert len(kept) == most
    assert max(len(each if isinstance(each, str | bytes) else str(each)) for each in kept) <= (
        longest
    )
