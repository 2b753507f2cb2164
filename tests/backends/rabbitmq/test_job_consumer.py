"""Taking: never more than there are slots, nothing lost, alive again after every loss."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from devtools.servers import RabbitMQServer
from jobfleet_backends.rabbitmq import job_consumer, prefetch_window
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.delivery import RabbitDelivery
from jobfleet_backends.rabbitmq.job_consumer import RabbitJobConsumer
from jobfleet_backends.rabbitmq.job_queue import RabbitJobQueue
from jobfleet_backends.rabbitmq.prefetch_window import PrefetchWindow
from jobfleet_backends.rabbitmq.topology import LaneQueue
from jobfleet_contracts.errors import BackendUnavailable
from tests.backends.rabbitmq import foreign_client
from tests.backends.rabbitmq.jobs import SOON, a_job, job_id, take, total_ready
from tests.polling import eventually


async def publish(queue: RabbitJobQueue, count: int, **fields: object) -> list[str]:
    messages = [a_job(**fields) for _ in range(count)]
    await asyncio.gather(*(queue.publish(message, timeout=10) for message in messages))
    return [message.request.job_id for message in messages]


async def consuming(consumer: RabbitJobConsumer) -> None:
    async def on_all_lanes() -> bool:
        channels = consumer._channels.values()
        return len(channels) == 3 and all(channel._consumers for channel in channels)

    await eventually("consumers on all three lanes", on_all_lanes)


async def holds_only(queue: RabbitJobQueue, ready: int) -> None:
    async def returned() -> bool:
        return await total_ready(queue) == ready

    await eventually(f"{ready} messages ready for other workers", returned)


async def test_what_waits_is_taken_high_lane_before_normal_before_low(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch_window, "PATIENCE_SECONDS", 0.3)  # a busy machine answers late
    low, normal, high = [await publish(queue, 2, priority=p) for p in (0, 5, 9)]
    came = [job_id(d) for _ in range(6) for d in await take(consumer, limit=1)]
    assert [set(came[:2]), set(came[2:4]), set(came[4:])] == [set(high), set(normal), set(low)]


async def test_nothing_comes_from_empty_queues_until_the_wait_is_over(
    consumer: RabbitJobConsumer,
) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await consumer.receive(3, timedelta(seconds=0.3)) == []
    assert 0.25 < loop.time() - before < 2


async def test_a_foreign_listener_can_bind_to_the_events_before_the_first_one(
    consumer: RabbitJobConsumer, broker: RabbitMQ, rabbitmq: RabbitMQServer
) -> None:
    with foreign_client.channel(rabbitmq.url) as channel:
        own = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(own, broker.topology.events, "#")


async def test_a_waiting_worker_gets_a_new_job_at_once(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    waiting = asyncio.create_task(consumer.receive(3, timedelta(seconds=20)))
    await publish(queue, 1)
    async with asyncio.timeout(60):
        assert len(await waiting) == 1


async def test_a_worker_full_of_long_jobs_holds_no_message_beyond_its_slots(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    for priority in (0, 5, 9):
        await publish(queue, 6, priority=priority)
    running: list[RabbitDelivery] = []
    while len(running) < 4:
        running += await take(consumer, limit=4 - len(running))
    await holds_only(queue, 18 - 4)


async def test_a_worker_with_one_free_slot_holds_one_message_at_most(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    await publish(queue, 20)
    running: list[RabbitDelivery] = []
    while len(running) < 3:
        running += await take(consumer, limit=4 - len(running))
    taken = len(running)
    await holds_only(queue, 20 - taken)
    assert len(await consumer.receive(1, SOON)) == 1
    await holds_only(queue, 20 - taken - 1)


async def test_a_worker_that_does_not_ask_again_holds_nothing(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    assert await consumer.receive(5, timedelta(seconds=0.05)) == []
    await publish(queue, 5)
    await holds_only(queue, 5)


async def test_an_acknowledgement_held_back_leaves_while_the_worker_still_waits_for_more(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, broker: RabbitMQ
) -> None:
    await publish(queue, 1)
    await take(consumer, limit=2)
    assert await consumer.receive(1, timedelta(seconds=1.3)) == []
    await broker.consuming.close()  # nothing more can be sent: what is not acknowledged returns
    other = RabbitMQ(url=str(broker.consuming._url), namespace=broker.topology.jobs[:-5])
    assert await total_ready(RabbitJobQueue(rabbitmq=other, queues=["default"])) == 0
    await other.close()


async def test_what_is_not_acknowledged_goes_back_when_the_consumer_stops(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    await publish(queue, 3)
    deliveries = await consumer.receive(1, SOON)
    await consumer.stop()
    await holds_only(queue, 3)
    await deliveries[0].ack()  # quiet: the channel is gone


async def test_a_stop_ends_a_waiting_receive(consumer: RabbitJobConsumer) -> None:
    waiting = asyncio.create_task(consumer.receive(3, timedelta(seconds=60)))
    await asyncio.sleep(0.1)  # the receive waits by then; earlier the stop comes before it
    await consumer.stop()
    async with asyncio.timeout(60):
        assert len(await waiting) == 0


async def test_acknowledging_twice_is_quiet(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    await publish(queue, 2)
    for delivery in await consumer.receive(2, SOON):
        await delivery.ack()
        await delivery.ack()
    await consumer.stop()
    assert await total_ready(queue) == 0


async def test_what_a_stopping_worker_has_acknowledged_does_not_come_again(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, broker: RabbitMQ
) -> None:
    await publish(queue, 100)  # far more than a broker passes on to a quorum queue at once
    done = 0
    while done < 100:
        done += len(await take(consumer, limit=100 - done))
    await consumer.stop()
    other = RabbitJobConsumer(rabbitmq=broker)
    await other.start(["default"])
    assert await other.receive(100, timedelta(seconds=0.5)) == []
    await other.stop()


async def _period_is_over(consumer: RabbitJobConsumer) -> None:
    async def is_over() -> bool:
        return consumer._window is None

    await eventually("no consumer, as no slot is free", is_over)


def _counted_periods(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    opened = Counter[str]()
    start = PrefetchWindow.start

    async def counted(opening: PrefetchWindow) -> dict[LaneQueue, BackendUnavailable]:
        opened["window"] += 1
        return await start(opening)

    monkeypatch.setattr(PrefetchWindow, "start", counted)
    return opened


async def test_short_jobs_of_a_backlog_need_no_consumer_opened_between_them(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _counted_periods(monkeypatch)
    ids = await publish(queue, 400)
    assert await _work(consumer, slots=10, jobs=400) == Counter(ids)
    assert opened["window"] <= 3


async def test_a_worker_that_was_full_ends_no_consumer_as_its_slots_become_free(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, running = 16, list[RabbitDelivery]()
    ids = await publish(queue, 80)
    while len(running) < slots:
        running += await consumer.receive(slots - len(running), SOON)
    await _period_is_over(consumer)
    came = Counter(job_id(delivery) for delivery in running)
    opened = _counted_periods(monkeypatch)
    while running:
        ended, running = running[:5], running[5:]
        await asyncio.gather(*(delivery.ack() for delivery in ended))
        if sum(came.values()) < 80:
            taken = await consumer.receive(slots - len(running), SOON)
            running += taken
            came.update(map(job_id, taken))
    assert came == Counter(ids)
    assert opened["window"] == 1


async def test_a_period_that_was_widened_brings_no_more_than_there_are_slots(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    await publish(queue, 40)
    older = [*await consumer.receive(6, SOON)]
    while len(older) < 6:
        older += await consumer.receive(6 - len(older), SOON)
    await _period_is_over(consumer)
    newer = [*await consumer.receive(1, SOON)]
    for delivery in older:
        await delivery.ack()
    while len(newer) < 6:
        newer += await consumer.receive(6 - len(newer), SOON)
    await holds_only(queue, 40 - 6 - 6)


async def test_two_workers_lose_and_double_nothing_whatever_the_lanes_and_durations(
    queue: RabbitJobQueue, broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "LINGER_SECONDS", 0.005)  # give back as often as can be
    ids = [job for p in (0, 5, 9) for job in await publish(queue, 60, priority=p)]
    done: Counter[str] = Counter()
    workers = [RabbitJobConsumer(rabbitmq=broker) for _ in range(2)]
    for worker in workers:
        await worker.start(["default"])
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(_work_until(worker, done, len(ids)))
    for worker in workers:
        await worker.stop()
    assert done == Counter(ids)
    assert await total_ready(queue) == 0


async def _work(consumer: RabbitJobConsumer, *, slots: int, jobs: int) -> Counter[str]:
    """Short jobs: each slot is free again as soon as its job was acknowledged."""
    done: Counter[str] = Counter()
    while done.total() < jobs:
        done.update(job_id(delivery) for delivery in await take(consumer, limit=slots))
    return done


async def _work_until(consumer: RabbitJobConsumer, done: Counter[str], jobs: int) -> None:
    slots = asyncio.Semaphore(4)
    running: set[asyncio.Task[None]] = set()

    async def run(delivery: RabbitDelivery) -> None:
        await delivery.ack()
        done[job_id(delivery)] += 1
        await asyncio.sleep(random.uniform(0, 0.03))
        slots.release()

    while done.total() < jobs:
        await slots.acquire()
        deliveries = await consumer.receive(1 + slots._value, timedelta(seconds=0.2))
        for _ in deliveries[1:]:
            await slots.acquire()
        if not deliveries:
            slots.release()
        running |= {asyncio.create_task(run(delivery)) for delivery in deliveries}
    await asyncio.gather(*running)


async def test_the_consumer_is_back_after_its_queue_was_deleted(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    waiting = asyncio.create_task(take(consumer, wait=timedelta(seconds=90)))
    await consuming(consumer)
    for lane in ("high", "normal", "low"):
        name = f"{namespace}.jobs.default.{lane}"
        await asyncio.to_thread(foreign_client.delete_queue, rabbitmq.url, name)
    (published,) = await publish(queue, 1)
    async with asyncio.timeout(60):
        assert [job_id(delivery) for delivery in await waiting] == [published]


async def test_the_consumer_is_back_after_the_broker_closed_its_channel(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer
) -> None:
    waiting = asyncio.create_task(take(consumer, wait=timedelta(seconds=90)))
    await consuming(consumer)
    channel = next(iter(consumer._channels.values()))._channel
    assert channel is not None
    below = await channel.get_underlay_channel()
    await below.basic_ack(9_999)  # unknown: 406, the broker closes the channel
    (published,) = await publish(queue, 1)
    async with asyncio.timeout(60):
        assert [job_id(delivery) for delivery in await waiting] == [published]


async def test_a_consumer_that_brings_nothing_though_messages_are_ready_is_opened_again(
    queue: RabbitJobQueue, consumer: RabbitJobConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "QUIET_SECONDS", 0.5)
    waiting = asyncio.create_task(take(consumer, wait=timedelta(seconds=90)))
    await consuming(consumer)
    for channel in consumer._channels.values():
        ((lane, tag),) = channel._consumers
        await lane.cancel(tag)  # as if the broker had forgotten it
    (published,) = await publish(queue, 1)
    async with asyncio.timeout(60):
        assert [job_id(delivery) for delivery in await waiting] == [published]


async def test_a_message_that_nobody_can_take_ends_in_the_dead_letter_queue(
    queue: RabbitJobQueue, rabbitmq: RabbitMQServer, namespace: str
) -> None:
    (published,) = await publish(queue, 1)
    name = f"{namespace}.jobs.default.normal"

    def refuse_until_gone() -> None:
        with foreign_client.channel(rabbitmq.url) as channel:
            for _ in range(40):
                method, _, _ = channel.basic_get(name)
                if method is not None:
                    channel.basic_nack(method.delivery_tag)

    async def is_dead() -> bool:
        dead = await asyncio.to_thread(foreign_client.get, rabbitmq.url, f"{namespace}.dead")
        return dead is not None and dead[0].message_id == published

    await asyncio.to_thread(refuse_until_gone)
    await eventually("the message in the dead-letter queue", is_dead)
