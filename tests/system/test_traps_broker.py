"""Traps of the broker, each done to workers on real RabbitMQ and Azurite."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from devtools.servers import RabbitMQServer, StorageServer, choose_own_rabbitmq
from jobfleet_backends.settings import Settings
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State
from jobfleet_worker import JobContext, handler
from jobfleet_worker.upkeep.republish_pace import Pace
from tests.backends.rabbitmq import foreign_client
from tests.polling import eventually
from tests.system.azure_workshop import azure_settings, opened_workshop
from tests.worker.workshop import DEFAULTS, Workshop


@handler("work")
async def work(payload: float | None, context: JobContext) -> int:
    await context.progress(1)
    await asyncio.sleep(payload or 0)
    return context.epoch


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """A broker for faults, shared by the tests of this file; each leaves it running."""
    server = choose_own_rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(faulty: RabbitMQServer, azurite: StorageServer) -> Settings:
    return azure_settings(faulty.url, azurite.connection_string)


@pytest.fixture
async def workshop(settings: Settings, faulty: RabbitMQServer) -> AsyncIterator[Workshop]:
    async with opened_workshop(settings) as found:
        yield found
    await asyncio.to_thread(faulty.start)


@pytest.fixture
def impatient_rescuer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not published is seen to after three seconds instead of a minute."""
    monkeypatch.setattr(Pace.OVERDUE, "_value_", (3.0, 60.0))


async def all_complete(workshop: Workshop, *job_ids: str, seconds: float = 120) -> None:
    """Each of the jobs ends once, and no message of it is left over."""
    for job_id in job_ids:
        assert (await workshop.until_ended(job_id, seconds=seconds)).status == "Completed"
        assert (await workshop.statuses(job_id)).count("Completed") == 1


async def nothing_is_ready(workshop: Workshop) -> None:
    async def empty() -> bool:
        return not any(depth.ready for depth in await workshop.real.queue.depths())

    await eventually("empty work queues", empty, seconds=120)


async def dead_letters(settings: Settings, faulty: RabbitMQServer) -> int:
    def count() -> int:
        with foreign_client.channel(faulty.url) as channel:
            declared = channel.queue_declare(f"{settings.namespace}.dead", passive=True)
            return int(declared.method.message_count)

    return await asyncio.to_thread(count)


async def test_conflict_loop(
    workshop: Workshop, settings: Settings, faulty: RabbitMQServer
) -> None:
    """One job published five times while its lease is held: one execution, no dead letter."""
    job_id, holder = new_id(), "8f14e45f-ceea-467f-a0e6-000000000001"
    await workshop.real.leases.create(job_lock(job_id))
    await workshop.real.leases.acquire(job_lock(job_id), holder, 60)
    request = JobRequest(type="work", job_id=job_id)
    await workshop.submitter.submit(request)
    message = JobMessage(
        request=request, defaults=DEFAULTS, sequence=1, published_at=workshop.clock.now()
    )
    for _ in range(5):
        await workshop.real.queue.publish(message)
    workshop.start_worker(work, defer_seconds=1)
    await asyncio.sleep(3)  # each copy comes back at least twice
    assert await workshop.statuses(job_id) == ["Queued"]
    await workshop.real.leases.release(job_lock(job_id), holder)
    await all_complete(workshop, job_id)
    assert (await workshop.statuses(job_id)).count("Started") == 1
    assert await dead_letters(settings, faulty) == 0
    await nothing_is_ready(workshop)


async def test_terminal_state_not_absorbing(workshop: Workshop) -> None:
    """A finished job published a hundred times stays as it was, with no work done."""
    workshop.start_worker(work)
    job_id = await workshop.submit("work")
    await all_complete(workshop, job_id)
    before = await workshop.statuses(job_id)
    message = JobMessage(request=JobRequest(type="work", job_id=job_id), defaults=DEFAULTS)
    publish = workshop.real.queue.publish
    await asyncio.gather(*(publish(message, timeout=30) for _ in range(100)))
    await nothing_is_ready(workshop)
    other = await workshop.submit("work")
    await all_complete(workshop, other)
    assert await workshop.statuses(job_id) == before


MALFORMED: list[tuple[bytes, dict[str, Any]]] = [
    (b"not JSON at all", {"message_id": "one"}),
    (b"\xff\xfe\x00", {}),
    (b'["a", "list"]', {}),
    (b'{"payload": 1}', {"message_id": new_id()}),
    (b'{"type": "work", "surprise": 1}', {"message_id": new_id()}),
    (b'{"type": "work"}', {}),
]


async def test_malformed_messages_beside_a_good_one_of_a_stranger(
    workshop: Workshop, settings: Settings, faulty: RabbitMQServer
) -> None:
    workshop.start_worker(work)
    await all_complete(workshop, await workshop.submit("work"))  # the queues are there
    job_id, exchange = new_id(), f"{settings.namespace}.jobs"
    good = (
        json.dumps({"type": "work", "jobName": "a stranger's"}).encode(),
        {"message_id": job_id},
    )
    for body, properties in [*MALFORMED[:3], good, *MALFORMED[3:]]:
        await asyncio.to_thread(foreign_client.publish, faulty.url, exchange, body, **properties)
    await all_complete(workshop, job_id)
    assert await workshop.statuses(job_id) == ["Queued", "Started", "Step 1", "Completed"]
    assert (await workshop.head(job_id)).facts.job_name == "a stranger's"

    async def all_set_aside() -> bool:
        return len((await workshop.real.dead_letters.letters()).items) == len(MALFORMED)

    await eventually("six dead letters", all_set_aside)
    letters = (await workshop.real.dead_letters.letters()).items
    assert all(letter.reason for letter in letters)
    assert await dead_letters(settings, faulty) == len(MALFORMED)
    await nothing_is_ready(workshop)


async def test_dead_consumer_after_its_queue_was_deleted(
    workshop: Workshop, settings: Settings, faulty: RabbitMQServer
) -> None:
    workshop.start_worker(work)
    await all_complete(workshop, await workshop.submit("work"))
    name = f"{settings.namespace}.jobs.default.normal"
    await asyncio.to_thread(foreign_client.delete_queue, faulty.url, name)
    # RabbitMQ confirms what reaches a queue that is just being deleted, and drops it: then the
    # rescuer publishes the job after a minute.
    await all_complete(workshop, await workshop.submit("work"), seconds=90)


async def test_dead_consumer_after_its_connection_was_closed(
    workshop: Workshop, faulty: RabbitMQServer
) -> None:
    workshop.start_worker(work)
    running = await workshop.submit("work", 3.0)
    await workshop.until_state(running, State.RUNNING)
    await asyncio.to_thread(faulty.control, "close_all_connections", "a test")
    await all_complete(workshop, running, await workshop.submit("work"), seconds=30)
    assert (await workshop.statuses(running)).count("Started") == 1


async def test_unroutable_message_after_its_binding_was_deleted(
    workshop: Workshop, settings: Settings, faulty: RabbitMQServer
) -> None:
    workshop.start_worker(work)
    await all_complete(workshop, await workshop.submit("work"))

    def unbind() -> None:
        with foreign_client.channel(faulty.url) as channel:
            for key in ("default.normal", "default"):
                queue = f"{settings.namespace}.jobs.default.normal"
                channel.queue_unbind(queue, f"{settings.namespace}.jobs", key)

    await asyncio.to_thread(unbind)
    began = time.monotonic()
    job_id = await workshop.submit("work")
    assert time.monotonic() - began < 20  # not as long as the broker is away
    await all_complete(workshop, job_id, seconds=90)


@pytest.mark.usefixtures("impatient_rescuer")
async def test_unconfirmed_message_of_a_broker_killed_right_after_the_answer(
    workshop: Workshop, faulty: RabbitMQServer
) -> None:
    """And two hundred jobs under way: all complete, each once."""
    workshop.start_worker(work, concurrency=20)
    job_ids = [await workshop.submit("work", 0.1) for _ in range(100)]
    job_ids += [await workshop.submit("work", 0.1, max_attempts=1) for _ in range(100)]
    await asyncio.to_thread(faulty.kill)
    began = time.monotonic()
    job_ids.append(await workshop.submit("work"))
    assert time.monotonic() - began < 20  # not as long as the broker is away
    await asyncio.to_thread(faulty.start)
    await all_complete(workshop, *job_ids, seconds=100)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_dead_consumer_after_ten_restarts(workshop: Workshop, faulty: RabbitMQServer) -> None:
    workshop.start_worker(work)
    for _ in range(10):
        job_id = await workshop.submit("work", 1.0)
        await asyncio.to_thread(faulty.restart)
        restarted = time.monotonic()
        await all_complete(workshop, job_id, await workshop.submit("work"), seconds=100)
        assert time.monotonic() - restarted < 100  # 30 s, or what was unpublished a minute later


@pytest.mark.usefixtures("impatient_rescuer")
@pytest.mark.parametrize(
    "seconds", [8.0, pytest.param(60.0, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])]
)
async def test_shared_connection_under_a_memory_alarm(
    workshop: Workshop, faulty: RabbitMQServer, seconds: float
) -> None:
    """Running jobs finish during the alarm; submits are answered and run once, later."""
    workshop.start_worker(work)
    running = [await workshop.submit("work", 4.0) for _ in range(5)]
    for job_id in running:
        await workshop.until_state(job_id, State.RUNNING)
    await asyncio.to_thread(faulty.set_memory_watermark, 0.000001)
    alarm_ends = time.monotonic() + seconds
    try:
        await all_complete(workshop, *running, seconds=seconds)
        began = time.monotonic()
        late = await workshop.submit("work")
        assert time.monotonic() - began < 20  # not as long as the broker is away
        # The alarm has a length of its own.
        await asyncio.sleep(max(0, alarm_ends - time.monotonic()))
    finally:
        await asyncio.to_thread(faulty.set_memory_watermark, 0.4)
    await all_complete(workshop, late, seconds=100)
    assert (await workshop.statuses(late)).count("Started") == 1


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_thirty_minute_acknowledgement_limit(
    workshop: Workshop, faulty: RabbitMQServer
) -> None:
    """A job of three times the limit, and a backlog behind it that no slot can take."""
    await asyncio.to_thread(faulty.set_consumer_timeout, 60)
    try:
        workshop.start_worker(work, concurrency=1)
        long = await workshop.submit("work", 180.0, timeout_seconds=400)
        await workshop.until_state(long, State.RUNNING)
        backlog = [await workshop.submit("work") for _ in range(20)]
        await all_complete(workshop, long, *backlog, seconds=300)
        for job_id in (long, *backlog):
            assert (await workshop.statuses(job_id)).count("Started") == 1
    finally:
        await asyncio.to_thread(faulty.set_consumer_timeout, 1800)


async def test_schedules_start_within_two_seconds_of_their_time(workshop: Workshop) -> None:
    workshop.start_worker(work)
    now = workshop.clock.now()
    far = await workshop.submit("work", run_at=now + timedelta(minutes=50))
    times = {
        await workshop.submit("work", run_at=now + timedelta(seconds=s)): now + timedelta(seconds=s)
        for s in (1, 2.5, 6, 7.4, 12)
    }
    await all_complete(workshop, *times)
    for job_id, due_at in times.items():
        started = next(e for e in await workshop.history(job_id) if e.status == "Started")
        assert timedelta(0) <= started.occurred_at - due_at < timedelta(seconds=2)
    assert await workshop.statuses(far) == ["Scheduled"]
