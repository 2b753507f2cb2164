"""Rolling updates: a worker that lacks a type leaves its jobs to one that has it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker import handler
from tests.polling import eventually
from tests.worker.workshop import Workshop


@handler("mail.send")
async def send() -> str:
    return "sent"


@handler("mail.digest")
async def digest() -> str:
    return "digested"


async def test_new_job_types_are_left_to_the_worker_that_has_them(workshop: Workshop) -> None:
    workshop.start_worker(send)
    workshop.start_worker(send, digest)
    jobs = [await workshop.submit("mail.digest") for _ in range(10)]
    jobs += [await workshop.submit("mail.send") for _ in range(10)]
    for job_id in jobs:
        assert (await workshop.until_ended(job_id, seconds=60)).status == "Completed"
        history = await workshop.history(job_id)
        deferred = [event for event in history if event.status == "Deferred"]
        assert len(deferred) <= 1
        assert all(event.data == {"reason": "noHandler"} for event in deferred)
        started = [event.worker_id for event in history if event.status == "Started"]
        assert len(started) == 1


async def test_a_job_waits_for_the_worker_that_is_yet_to_come(workshop: Workshop) -> None:
    workshop.start_worker(send)
    job_id = await workshop.submit("mail.digest")
    await workshop.until_state(job_id, State.DEFERRED)

    async def was_put_off_again() -> bool:
        return workshop.queue.calls["publish_later"] >= 2

    await eventually("the message is put off again", was_put_off_again)
    assert await workshop.statuses(job_id) == ["Queued", "Deferred"]
    workshop.start_worker(digest)
    assert (await workshop.until_ended(job_id, seconds=60)).status == "Completed"


async def test_a_type_that_nobody_has_fails_after_the_grace(workshop: Workshop) -> None:
    workshop.start_worker(send, no_handler_seconds=2)
    head = await workshop.run("mail.digest")
    assert await workshop.statuses(head.job_id) == ["Queued", "Deferred", "Started", "Failed"]
    assert head.data["error"]["type"] == "NoHandler"
    assert head.message.startswith("no handler for 'mail.digest'")


async def test_without_a_grace_a_worker_fails_what_it_lacks_at_once(workshop: Workshop) -> None:
    workshop.start_worker(send, no_handler_seconds=0)
    job_id = await workshop.submit("mail.digest")
    assert (await workshop.until_ended(job_id)).status == "Failed"
    assert await workshop.statuses(job_id) == ["Queued", "Started", "Failed"]


async def test_a_directory_that_cannot_be_read_fails_no_job(workshop: Workshop) -> None:
    workshop.directory.lose_request("workers", times=100)
    workshop.start_worker(send, no_handler_seconds=0.5)
    job_id = await workshop.submit("mail.digest")
    await workshop.until_state(job_id, State.DEFERRED)

    async def asked_again() -> bool:
        return workshop.directory.calls["workers"] >= 3

    await eventually("the directory is asked again", asked_again, seconds=60)
    assert await workshop.statuses(job_id) == ["Queued", "Deferred"]
    workshop.directory.heal()
    workshop.start_worker(digest)
    assert (await workshop.until_ended(job_id, seconds=60)).status == "Completed"


async def test_a_job_of_a_missing_type_can_be_cancelled(workshop: Workshop) -> None:
    workshop.start_worker(send)
    job_id = await workshop.submit("mail.digest")
    await workshop.until_state(job_id, State.DEFERRED)
    await workshop.canceller.cancel(job_id, by="test")
    assert (await workshop.until_ended(job_id)).status == "Cancelled"


async def test_in_scope_fleet_a_worker_gives_the_lease_up_for_what_it_lacks(
    workshop: Workshop,
) -> None:
    workshop.start_worker(send, lock_scope="fleet")
    job_id = await workshop.submit("mail.digest")
    await workshop.until_state(job_id, State.DEFERRED)
    workshop.start_worker(digest, lock_scope="fleet")
    assert (await workshop.until_ended(job_id, seconds=60)).status == "Completed"


async def put_off_long_ago(workshop: Workshop) -> JobMessage:
    """Store a job that was put off an hour ago because the worker that took it lacks its type."""
    request = await workshop.submit_unpublished("mail.digest")
    at = workshop.clock.now() - timedelta(hours=1)
    change = Change(kind=Status.DEFERRED, due_at=at, data={"reason": "noHandler"})
    event = await workshop.append(request.job_id, change, at=at)
    return JobMessage(request=request, sequence=event.sequence)


async def the_grace_since_its_start() -> None:
    """Let the grace of 1 s pass that a worker has from its start: it is no reason to wait then."""
    await asyncio.sleep(1.5)  # the worker's clock is the real one


async def stopped_just_now(workshop: Workshop) -> None:
    workshop.start_worker(send, no_handler_seconds=1)
    await the_grace_since_its_start()
    await workshop.start_worker(digest).stop()


async def killed_just_now(workshop: Workshop) -> None:
    workshop.start_worker(send, no_handler_seconds=1)
    await the_grace_since_its_start()
    now = workshop.clock.now()
    await workshop.real.directory.beat(
        WorkerStatus(
            worker_id="killed",
            started_at=now,
            heartbeat_at=now,
            queues=("default",),
            types=("mail.digest",),
        )
    )


async def stopped_before_the_lacking_one_started(workshop: Workshop) -> None:
    await workshop.start_worker(digest).stop()
    workshop.start_worker(send, no_handler_seconds=1)
    await the_grace_since_its_start()


async def hidden_by_storage(workshop: Workshop) -> None:
    workshop.directory.lose_request("workers", times=5)
    workshop.start_worker(send, no_handler_seconds=1)
    await the_grace_since_its_start()


@pytest.mark.parametrize(
    "able",
    [
        stopped_just_now,
        killed_just_now,
        stopped_before_the_lacking_one_started,
        hidden_by_storage,
    ],
)
async def test_a_worker_that_never_looked_fails_no_job_whose_worker_may_come_back(
    workshop: Workshop, able: Callable[[Workshop], Awaitable[None]]
) -> None:
    """The job was put off long ago, and the able worker is gone when this one looks first."""
    await able(workshop)
    message = await put_off_long_ago(workshop)
    job_id = message.request.job_id
    before = workshop.directory.calls["workers"]
    await workshop.real.queue.publish(message)

    async def looked_twice() -> bool:
        return workshop.directory.calls["workers"] >= before + 2

    await eventually("the lacking worker looks twice", looked_twice, seconds=120)
    assert (await workshop.head(job_id)).after.state is State.DEFERRED
    workshop.start_worker(digest)
    assert (await workshop.until_ended(job_id, seconds=60)).status == "Completed"


async def test_a_type_whose_only_worker_stopped_for_good_fails_in_the_end(
    workshop: Workshop,
) -> None:
    await stopped_just_now(workshop)
    message = await put_off_long_ago(workshop)
    await workshop.real.queue.publish(message)
    head = await workshop.until_ended(message.request.job_id, seconds=60)
    assert head.data["error"]["type"] == "NoHandler"
