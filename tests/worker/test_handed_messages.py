"""Messages that no queue holds: each loss of a worker is counted, whichever takes it next."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import handed_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_worker.run.handed_messages import RETRY_SECONDS, HandedMessage, HandedMessages
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import Workshop

MESSAGE = JobMessage(request=JobRequest(type="x"))
LOCK = handed_lock(MESSAGE.request.job_id)
LONG = 60.0
SHORT = 3.0
"""Long enough for a taker on a busy machine; ten of them are less than the minute after which the
rescuer publishes a job."""


def a_worker(workshop: Workshop, *messages: JobMessage, lease_seconds: float) -> HandedMessages:
    handed = HandedMessages(
        leases=workshop.leases,
        locks=workshop.real.locks,
        clock=workshop.clock,
        lease_seconds=lease_seconds,
    )
    for message in messages:
        handed.hand(message)
    return handed


async def lose_takers(workshop: Workshop, message: JobMessage, count: int) -> None:
    """Let so many workers take the message one after the other, and be lost."""
    for _ in range(count):
        assert await a_worker(workshop, message, lease_seconds=SHORT).take() is not None
        assert isinstance(workshop.clock, SteeredClock)
        workshop.clock.advance(SHORT)


async def taken(workshop: Workshop, message: JobMessage = MESSAGE) -> HandedMessage:
    found = await a_worker(workshop, message, lease_seconds=LONG).take()
    assert found is not None
    return found


async def test_each_taker_that_is_lost_counts(workshop: Workshop) -> None:
    await lose_takers(workshop, MESSAGE, 3)
    assert (await taken(workshop)).lost_workers == 3


async def test_an_acknowledgement_forgets_the_count(workshop: Workshop) -> None:
    await lose_takers(workshop, MESSAGE, 2)
    await (await taken(workshop)).ack()
    assert (await taken(workshop)).lost_workers == 0


async def test_a_message_given_back_keeps_its_count_and_counts_no_more(workshop: Workshop) -> None:
    for lost in (0, 2):
        await lose_takers(workshop, MESSAGE, lost)
        await (await taken(workshop)).requeue()
        again = await taken(workshop)
        assert again.lost_workers == lost
        await again.ack()


async def test_what_a_redriven_job_loses_is_counted_anew(workshop: Workshop) -> None:
    await lose_takers(workshop, MESSAGE, 2)
    redriven = JobMessage(request=MESSAGE.request, incarnation=2)
    await lose_takers(workshop, redriven, 1)
    assert (await taken(workshop, redriven)).lost_workers == 1


async def test_a_message_that_another_worker_holds_is_asked_for_later(
    workshop: Workshop, clock: SteeredClock
) -> None:
    held = await taken(workshop)
    other = a_worker(workshop, MESSAGE, lease_seconds=LONG)
    assert await other.take() is None
    clock.advance(RETRY_SECONDS)
    assert await other.take() is None
    await held.ack()
    assert await other.take() is None  # asked for a moment ago
    clock.advance(RETRY_SECONDS)
    found = await other.take()
    assert found is not None
    assert found.lost_workers == 0


async def test_a_message_that_another_worker_holds_for_long_is_left_to_the_rescuer(
    workshop: Workshop, clock: SteeredClock
) -> None:
    held = await taken(workshop)
    other = a_worker(workshop, MESSAGE, lease_seconds=LONG / 10)
    for _ in range(2):
        assert await other.take() is None
        clock.advance(LONG / 5)
    await held.ack()
    assert await other.take() is None


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_storage_that_does_not_answer_costs_neither_message_nor_count(
    workshop: Workshop, clock: SteeredClock, lost: str
) -> None:
    handed = a_worker(workshop, MESSAGE, lease_seconds=LONG)
    getattr(workshop.leases, lost)("acquire")
    assert await handed.take() is None
    clock.advance(RETRY_SECONDS)
    found = await handed.take()
    assert found is not None
    assert found.lost_workers == 0


async def test_a_worker_that_stops_gives_back_what_it_has_taken(workshop: Workshop) -> None:
    await lose_takers(workshop, MESSAGE, 1)
    handed = a_worker(workshop, MESSAGE, lease_seconds=LONG)
    found = await handed.take()
    assert found is not None
    await handed.stop()
    again = await taken(workshop)
    assert again.lost_workers == 1
    await found.ack()  # too late: it is another worker's
    assert await workshop.real.leases.is_leased(LOCK)


async def test_a_stop_in_the_midst_of_a_taking_loses_no_count(workshop: Workshop) -> None:
    await lose_takers(workshop, MESSAGE, 2)
    handed = a_worker(workshop, MESSAGE, lease_seconds=LONG)
    reached = asyncio.Event()

    async def stand_still() -> None:
        reached.set()
        await asyncio.get_running_loop().create_future()

    workshop.leases.before("acquire", stand_still)
    task = asyncio.create_task(handed.take())
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await handed.stop()
    assert (await taken(workshop)).lost_workers == 2
