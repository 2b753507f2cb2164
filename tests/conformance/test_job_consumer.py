"""JobConsumer: deliveries for one worker, never more than it can start."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import DELIVERY_LIMIT, JobMessage, MalformedMessage
from jobfleet_contracts.ports import Delivery
from tests.conformance.conftest import BACKENDS, WITH_FAKES
from tests.conformance.deliveries import AT_ONCE, SOON, consuming, ids, lose, received
from tests.conformance.jobs import a_message
from tests.polling import eventually


@WITH_FAKES
async def test_nothing_comes_from_an_empty_queue(backend: Backend) -> None:
    async with consuming(backend) as consumer:
        assert list(await consumer.receive(5, timedelta(seconds=0.05))) == []


@WITH_FAKES
async def test_a_queue_that_is_left_out_brings_nothing_until_it_is_no_more_left_out(
    backend: Backend,
) -> None:
    async with consuming(backend, "default", "mail") as consumer:
        assert list(await consumer.receive(5, AT_ONCE)) == []
        consumer.leave_out(frozenset({"mail"}))
        held, free = a_message(queue="mail"), a_message()
        await backend.queue.publish(held)
        await backend.queue.publish(free)
        came = await received(consumer, 1)
        assert ids(came) == [free.request.job_id]
        await came[0].ack()
        assert list(await consumer.receive(5, AT_ONCE)) == []
        consumer.leave_out(frozenset({"mail", "default"}))
        assert list(await consumer.receive(5, AT_ONCE)) == []
        consumer.leave_out(frozenset())
        came = await received(consumer, 1)
        assert ids(came) == [held.request.job_id]
        await came[0].ack()


@WITH_FAKES
async def test_a_receive_that_waits_heeds_what_is_left_out_meanwhile(backend: Backend) -> None:
    async with consuming(backend, "default", "mail") as consumer:
        waiting = asyncio.create_task(consumer.receive(5, timedelta(seconds=2)))
        await asyncio.sleep(0.3)  # the receive waits by then
        consumer.leave_out(frozenset({"mail"}))
        await asyncio.sleep(0.3)  # the consumer has heeded it by then
        await backend.queue.publish(a_message(queue="mail"))
        assert list(await waiting) == []


@WITH_FAKES
async def test_never_more_than_the_limit_is_handed_out(backend: Backend) -> None:
    async with consuming(backend) as consumer:
        for _ in range(7):
            await backend.queue.publish(a_message())
        first = await consumer.receive(3, SOON)
        assert 1 <= len(first) <= 3
        rest = await received(consumer, 7 - len(first))
        assert len(set(ids([*first, *rest]))) == 7
        for delivery in [*first, *rest]:
            await delivery.ack()


@WITH_FAKES
async def test_free_slots_are_filled_while_others_are_not_acknowledged_yet(
    backend: Backend,
) -> None:
    async with consuming(backend) as consumer:
        for _ in range(8):
            await backend.queue.publish(a_message())
        first = await received(consumer, 4, limit=4)
        second = await consumer.receive(3, SOON)
        assert 1 <= len(second) <= 3
        for delivery in [*first, *second]:
            await delivery.ack()


@WITH_FAKES
async def test_the_high_lane_comes_before_normal_before_low(backend: Backend) -> None:
    messages = [a_message(priority=priority) for priority in (0, 5, 9, 2, 6, 7)]
    async with consuming(backend) as consumer:
        for message in messages:
            await backend.queue.publish(message)
        await eventually("all are ready", lambda: _all_ready(backend, 6))
        deliveries = await received(consumer, 6, limit=6)
        high, normal, low = ids(deliveries)[:2], ids(deliveries)[2:4], ids(deliveries)[4:]
        by_lane = [(high, (2, 5)), (normal, (1, 4)), (low, (0, 3))]
        for found, places in by_lane:
            assert set(found) == {messages[place].request.job_id for place in places}
        for delivery in deliveries:
            await delivery.ack()


async def _all_ready(backend: Backend, count: int) -> bool:
    return sum(depth.ready for depth in await backend.queue.depths()) == count


@WITH_FAKES
async def test_the_oldest_of_a_lane_comes_first(backend: Backend) -> None:
    messages = [a_message() for _ in range(5)]
    for message in messages:
        async with consuming(backend):
            await backend.queue.publish(message)
    async with consuming(backend) as consumer:
        deliveries = await received(consumer, 5, limit=5)
        assert ids(deliveries) == [message.request.job_id for message in messages]
        for delivery in deliveries:
            await delivery.ack()


@WITH_FAKES
async def test_a_message_goes_to_one_of_two_workers(backend: Backend, other: Backend) -> None:
    messages = [a_message() for _ in range(10)]
    async with consuming(backend) as one, consuming(other) as two:
        for message in messages:
            await backend.queue.publish(message)
        taken: list[str] = []

        async def all_taken() -> bool:
            for consumer in (one, two):
                for delivery in await consumer.receive(2, timedelta(seconds=0.05)):
                    taken.extend(ids([delivery]))
                    await delivery.ack()
            return len(taken) >= 10

        await eventually("all ten are taken", all_taken, seconds=120)
        assert sorted(taken) == sorted(message.request.job_id for message in messages)


@WITH_FAKES
async def test_an_acknowledged_message_never_comes_again(backend: Backend) -> None:
    async with consuming(backend) as consumer:
        await backend.queue.publish(a_message())
        (delivery,) = await received(consumer, 1)
        await delivery.ack()
    async with consuming(backend) as consumer:
        assert list(await consumer.receive(5, AT_ONCE)) == []


@WITH_FAKES
async def test_what_a_stopped_consumer_held_comes_to_another(
    backend: Backend, other: Backend
) -> None:
    message = a_message()
    async with consuming(backend) as consumer:
        await backend.queue.publish(message)
        await received(consumer, 1)
    async with consuming(other) as consumer:
        (again,) = await received(consumer, 1)
        assert again.message == message
        await again.ack()


@WITH_FAKES
async def test_what_is_requeued_comes_to_another_at_once_as_it_was(
    backend: Backend, other: Backend
) -> None:
    messages = [a_message(priority=priority) for priority in (9, 5)]
    async with consuming(backend) as consumer:
        for message in messages:
            await backend.queue.publish(message)
        given, kept = await received(consumer, 2)
        async with consuming(other) as heir:
            await given.requeue()
            (again,) = await received(heir, 1)
            assert again.message == messages[0]
            await given.ack()  # too late, and quiet
            await again.ack()
            await kept.ack()
            assert list(await heir.receive(5, AT_ONCE)) == []


@WITH_FAKES
async def test_what_is_requeued_again_and_again_is_never_set_aside(backend: Backend) -> None:
    """A broker sets aside what comes back too often; here nobody tried it."""
    message = a_message()
    async with consuming(backend) as consumer:
        await backend.queue.publish(message)
        for _ in range(30):
            (delivery,) = await received(consumer, 1)
            assert delivery.message == message
            await delivery.requeue()
        (delivery,) = await received(consumer, 1)
        await delivery.ack()


@WITH_FAKES
async def test_a_message_that_every_worker_is_lost_with_is_handed_over_unread_in_the_end(
    backend: Backend,
) -> None:
    message = a_message()
    await backend.queue.publish(message)
    for _ in range(DELIVERY_LIMIT):
        async with consuming(backend) as consumer:
            (delivery,) = await received(consumer, 1)
            assert delivery.message == message
            await lose(consumer)
    async with consuming(backend) as consumer:
        (delivery,) = await received(consumer, 1)
        unread = delivery.message
        assert isinstance(unread, MalformedMessage)
        assert message.request.job_id.encode() in unread.body
        assert f"{DELIVERY_LIMIT} times" in unread.reason
        await delivery.ack()
        assert list(await consumer.receive(5, AT_ONCE)) == []


@pytest.mark.parametrize("settings", [BACKENDS[0], BACKENDS[2]], indirect=True)
async def test_what_came_back_from_a_lost_worker_comes_alone_and_harms_no_neighbour(
    backend: Backend,
) -> None:
    """A broker cannot do this: there, all messages of a prefetch count together."""
    messages = [a_message() for _ in range(4)]
    for message in messages:
        await backend.queue.publish(message)
    async with consuming(backend) as consumer:
        assert {d.lost_workers for d in await received(consumer, 4)} == {0}
        await lose(consumer)
    fresh = [a_message() for _ in range(3)]
    for message in fresh:
        await backend.queue.publish(message)
    async with consuming(backend) as consumer:
        apart: list[Delivery] = []
        for _ in messages:
            taken = await consumer.receive(10, SOON)
            assert [d.lost_workers for d in taken] == [1]
            apart += taken
        assert set(ids(apart)) == {message.request.job_id for message in messages}
        together = await received(consumer, 3)
        assert {d.lost_workers for d in together} == {0}
        await apart[0].requeue()
        (again,) = await received(consumer, 1)
        assert again.lost_workers == 1
    async with consuming(backend) as consumer:  # the stop requeued, and counted nothing
        back = await received(consumer, 7)
        assert sorted(d.lost_workers for d in back) == [0, 0, 0, 1, 1, 1, 1]
        for delivery in back:
            await delivery.ack()


@WITH_FAKES
async def test_to_requeue_after_stop_is_quiet(backend: Backend) -> None:
    async with consuming(backend) as consumer:
        await backend.queue.publish(a_message())
        (delivery,) = await received(consumer, 1)
    await delivery.requeue()


@WITH_FAKES
async def test_an_acknowledgement_after_stop_is_quiet(backend: Backend) -> None:
    async with consuming(backend) as consumer:
        await backend.queue.publish(a_message())
        (delivery,) = await received(consumer, 1)
    await delivery.ack()


@WITH_FAKES
async def test_a_message_published_elsewhere_wakes_a_waiting_worker(
    backend: Backend, other: Backend
) -> None:
    async with consuming(backend) as consumer:
        await other.queue.publish(a_message())
        (delivery,) = await consumer.receive(1, SOON)
        await delivery.ack()


@WITH_FAKES
async def test_a_consumer_takes_from_its_own_queues_only(backend: Backend) -> None:
    async with consuming(backend, "reports", "mail") as consumer, consuming(backend, "default"):
        for queue in ("default", "reports", "mail"):
            await backend.queue.publish(a_message(queue=queue))
        deliveries = await received(consumer, 2)
        queues = {d.message.request.queue for d in deliveries if isinstance(d.message, JobMessage)}
        assert queues == {"reports", "mail"}
        for delivery in deliveries:
            await delivery.ack()


@WITH_FAKES
async def test_what_a_closed_backend_held_comes_to_another(
    backend: Backend, other: Backend
) -> None:
    message = a_message()
    consumer = other.consumer()
    await consumer.start(["default"])
    await backend.queue.publish(message)
    await received(consumer, 1)
    await other.close()
    async with consuming(backend) as heir:
        (again,) = await received(heir, 1)
        assert again.message == message
        await again.ack()
