"""A message that ends the workers which take it, before any claim, costs ten of them at most."""

import asyncio
from typing import Any

import pytest

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.submission import message_of
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.claiming.decision import Attended, Ended
from jobfleet_protocol.claiming.unstartable import LOST_BEFORE_CLAIM, UnstartableJobs
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker import handler
from jobfleet_worker.run.message_claims import MessageClaims
from tests.conformance.deliveries import consuming, lose, received
from tests.polling import eventually
from tests.worker.test_handed_messages import lose_takers
from tests.worker.workshop import DEFAULTS, Workshop

_asked: list[str] = []


def deadly_key(payload: str) -> str:
    """Stand for code that ends its process, as a crash in a library does."""
    _asked.append(payload)
    return f"key-{payload}"


@handler("deadly", lock_key=deadly_key)
async def deadly(payload: str) -> None:
    await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    _asked.clear()


async def lose_workers(workshop: Workshop, count: int) -> None:
    for _ in range(count):
        async with consuming(workshop.real) as consumer:
            await received(consumer, 1)
            await lose(consumer)


def unstartable_jobs(workshop: Workshop) -> UnstartableJobs:
    side = WriteSide.wire(backend=workshop.real, clock=workshop.clock, defaults=DEFAULTS)
    return UnstartableJobs(
        trail=workshop.real.trail, writer=side.writer, clock=workshop.clock, worker_id="w"
    )


async def test_its_job_fails_and_none_of_its_code_runs(workshop: Workshop) -> None:
    job_id = await workshop.submit("deadly", "a")
    await lose_workers(workshop, LOST_BEFORE_CLAIM)
    workshop.start_worker(deadly)
    ended = await workshop.until_ended(job_id)
    assert await workshop.statuses(job_id) == ["Queued", "Failed"]
    assert ended.data["error"]["type"] == "WorkerLost"
    assert f"{LOST_BEFORE_CLAIM} workers were lost before they could start" in ended.message
    assert _asked == []
    await workshop.verified()
    await workshop.redriver.redrive(job_id, by="operator")  # as every failed job
    assert (await workshop.until_state(job_id, State.COMPLETED)).after.state is State.COMPLETED
    assert set(_asked) == {"a"}


async def test_one_loss_less_and_the_job_runs(workshop: Workshop) -> None:
    job_id = await workshop.submit("deadly", "b")
    await lose_workers(workshop, LOST_BEFORE_CLAIM - 1)
    workshop.start_worker(deadly)
    assert (await workshop.until_ended(job_id)).after.state is State.COMPLETED


async def test_a_copy_that_came_back_runs_no_code_of_a_job_that_has_ended(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await workshop.submit_unpublished("deadly", "copied")
    cancelled = Change(kind=Status.CANCELLED, message="operator")
    await workshop.append(request.job_id, cancelled)
    await workshop.real.queue.publish(JobMessage(request=request))
    await lose_workers(workshop, 1)
    end, decided = MessageClaims.end_unstartable, []

    async def noted(self: MessageClaims, message: JobMessage, lost_workers: int) -> Any:
        decided.append(await end(self, message, lost_workers))
        return decided[-1]

    async def is_decided() -> bool:
        return bool(decided)

    monkeypatch.setattr(MessageClaims, "end_unstartable", noted)
    worker = workshop.start_worker(deadly)
    await eventually("the copy is decided", is_decided)
    await worker.stop()
    assert [type(each) for each in decided] == [Ended]
    assert _asked == []
    assert await workshop.statuses(request.job_id) == ["Queued", "Cancelled"]


async def test_an_old_copy_does_not_fail_a_redriven_job(workshop: Workshop) -> None:
    request = await workshop.submit_unpublished("deadly", "redriven")
    await workshop.append(request.job_id, Change(kind=Status.CANCELLED, message="operator"))
    copy = JobMessage(request=request, sequence=1, lost_workers=LOST_BEFORE_CLAIM)
    await workshop.real.queue.publish(copy)
    await workshop.redriver.redrive(request.job_id, by="operator")
    workshop.start_worker(deadly)
    assert (await workshop.until_ended(request.job_id)).after.state is State.COMPLETED


async def test_an_old_copy_of_a_redriven_job_is_dropped_and_runs_no_code(
    workshop: Workshop,
) -> None:
    request = await workshop.submit_unpublished("deadly", "old copy")
    await workshop.append(request.job_id, Change(kind=Status.CANCELLED, message="operator"))
    redriven = await workshop.append(request.job_id, Change(kind=Status.REDRIVEN, message="me"))
    unstartable = unstartable_jobs(workshop)
    copy = JobMessage(request=request, sequence=1)
    for lost in (1, LOST_BEFORE_CLAIM):
        assert await unstartable.end(copy, lost) == Attended(redriven)
    of_its_own = copy.passed_on(redriven)
    assert (of_its_own.sequence, of_its_own.incarnation) == (3, 2)
    assert await unstartable.end(of_its_own, LOST_BEFORE_CLAIM - 1) is None
    assert isinstance(await unstartable.end(of_its_own, LOST_BEFORE_CLAIM), Ended)


async def test_a_redriven_job_is_ended_by_losses_of_its_own(workshop: Workshop) -> None:
    request = await workshop.submit_unpublished("deadly", "ends again")
    await workshop.append(request.job_id, Change(kind=Status.CANCELLED, message="operator"))
    await workshop.redriver.redrive(request.job_id, by="operator")
    await lose_workers(workshop, LOST_BEFORE_CLAIM)
    workshop.start_worker(deadly)
    assert (await workshop.until_ended(request.job_id)).after.state is State.FAILED
    assert _asked == []


async def test_a_count_is_passed_on_within_its_incarnation_only(workshop: Workshop) -> None:
    request = await workshop.submit_unpublished("deadly", "passed on")
    message = JobMessage(request=request, lost_workers=7)
    first = await workshop.append(request.job_id, Change(kind=Status.CANCELLED, message="me"))
    assert message.passed_on(first).lost_workers == 7
    redriven = await workshop.append(request.job_id, Change(kind=Status.REDRIVEN, message="me"))
    assert message.passed_on(redriven).lost_workers == 0


async def test_a_message_that_no_queue_holds_costs_ten_workers_too(workshop: Workshop) -> None:
    """Handed to one worker after the other, because an operator lets the job run in a pause."""
    pauses = Pauses(log=workshop.real.control_log, control=workshop.control, clock=workshop.clock)
    await pauses.pause(ControlSubject.QUEUE, "default", by="me")
    job_id = await workshop.submit("deadly", "handed")
    await pauses.run_job_anyway(job_id, trail=workshop.real.trail, by="me")
    opening = await workshop.head(job_id)
    message = await message_of(opening, opening, workshop.real.payloads, workshop.clock.now())
    await lose_takers(workshop, message, LOST_BEFORE_CLAIM)
    workshop.start_worker(deadly)
    ended = await workshop.until_ended(job_id)
    assert await workshop.statuses(job_id) == ["Queued", "Failed"]
    assert ended.data["error"]["type"] == "WorkerLost"
    assert _asked == []


async def test_beside_a_message_that_came_back_its_worker_takes_no_other_before_the_claim(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    came_back = await workshop.submit("deadly", "e")
    await lose_workers(workshop, 1)
    claim, begun, goes_on = MessageClaims.claim, asyncio.Event(), asyncio.Event()

    async def slow(self: MessageClaims, message: JobMessage, *rest: Any, **more: Any) -> Any:
        if message.request.job_id == came_back:
            begun.set()
            await goes_on.wait()
        return await claim(self, message, *rest, **more)

    monkeypatch.setattr(MessageClaims, "claim", slow)
    workshop.start_worker(deadly, concurrency=4)
    await begun.wait()
    neighbour = await workshop.submit("deadly", "f")
    await asyncio.sleep(0.3)  # a worker with free slots takes what comes within milliseconds
    assert await workshop.statuses(neighbour) == ["Queued"]
    assert "f" not in _asked
    goes_on.set()
    for job_id in (came_back, neighbour):
        assert (await workshop.until_ended(job_id)).after.state is State.COMPLETED


async def test_a_claim_in_the_trail_decides_and_a_wish_to_cancel_is_heeded(
    workshop: Workshop,
) -> None:
    request = await workshop.submit_unpublished("deadly", "c")
    lock, now = job_lock(request.job_id), workshop.clock.now()
    unstartable = unstartable_jobs(workshop)
    await workshop.append(
        request.job_id,
        Change(kind=Status.STARTED, worker_id="w", lock=lock, max_attempts=3, max_takeovers=5),
        Change(kind=Status.CANCEL_REQUESTED, message="operator"),
    )
    message = JobMessage(request=request)
    assert await unstartable.end(message, LOST_BEFORE_CLAIM) is None
    deferred = Change(kind=Status.DEFERRED, worker_id="w", due_at=now, message="put off")
    await workshop.append(request.job_id, deferred)
    assert await unstartable.end(message, LOST_BEFORE_CLAIM - 1) is None
    ended = await unstartable.end(message, LOST_BEFORE_CLAIM)
    assert isinstance(ended, Ended)
    assert ended.head.after.state is State.CANCELLED
    again = await unstartable.end(message, 1)  # another copy: its code rests too
    assert again == Ended(ended.head, written=False)


async def test_a_message_of_a_stranger_that_has_no_job_is_kept_apart(workshop: Workshop) -> None:
    request = JobRequest(type="deadly", payload="d")
    await workshop.real.queue.publish(JobMessage(request=request))
    await lose_workers(workshop, LOST_BEFORE_CLAIM)
    workshop.start_worker(deadly)

    async def kept() -> bool:
        return bool((await workshop.real.dead_letters.letters()).items)

    await eventually("the message is kept apart", kept)
    (letter,) = (await workshop.real.dead_letters.letters()).items
    assert letter.message_id == request.job_id
    assert "workers were lost before they could start" in letter.reason
    assert await workshop.real.trail.newest(request.job_id) is None
    assert _asked == []
