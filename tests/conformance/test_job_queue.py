"""JobQueue: what goes in comes out when it is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobDefaults, JobMessage
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.deliveries import SOON, consuming, ready, received
from tests.conformance.jobs import BEGIN, a_message
from tests.polling import eventually

pytestmark = WITH_FAKES


async def test_a_message_comes_out_as_it_went_in(backend: Backend) -> None:
    message = replace(
        a_message(payload={"a": [1, None, "ü"]}, lock_key="k", priority=3, job_name="n"),
        defaults=JobDefaults(3, 2.0, 300.0, 1800.0),
        due_at=BEGIN,
        deferrals=4,
        opening_hash="0f" * 32,
    )
    async with consuming(backend) as consumer:
        await backend.queue.publish(message)
        (delivery,) = await consumer.receive(1, SOON)
        assert delivery.message == message
        await delivery.ack()


async def test_a_message_without_hints_keeps_that_it_has_none(backend: Backend) -> None:
    message = JobMessage(request=a_message().request)
    async with consuming(backend) as consumer:
        await backend.queue.publish(message)
        (delivery,) = await consumer.receive(1, SOON)
        assert delivery.message == message
        await delivery.ack()


async def test_a_delayed_message_comes_when_its_delay_is_over(backend: Backend) -> None:
    message = a_message()
    async with consuming(backend) as consumer:
        await backend.queue.publish_later(message, timedelta(seconds=1))
        assert list(await consumer.receive(1, timedelta(seconds=0.4))) == []
        (delivery,) = await received(consumer, 1)
        assert delivery.message == message
        await delivery.ack()


async def test_a_delayed_message_keeps_its_lane(backend: Backend) -> None:
    async with consuming(backend):
        await backend.queue.publish_later(a_message(priority=8), timedelta(seconds=1))

        async def in_the_high_lane() -> bool:
            return await ready(backend, "default", "high") == 1

        await eventually("the message is ready in the high lane", in_the_high_lane)


async def test_depths_count_what_is_ready_by_lane(backend: Backend) -> None:
    async with consuming(backend, "reports"):
        for priority in (9, 5, 5, 1, 1, 1):
            await backend.queue.publish(a_message(queue="reports", priority=priority))

    async def counted() -> bool:
        lanes = [await ready(backend, "reports", lane) for lane in ("high", "normal", "low")]
        return lanes == [1, 2, 3]

    await eventually("the depths show 1, 2 and 3", counted)
