"""Jobs that lost two workers in a row run alone, so that no other job is blamed or harmed."""

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.claiming.decision import SUSPECT_TAKEOVERS
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker import handler
from jobfleet_worker.run import slots
from tests.worker.workshop import Workshop

_runs: list["Run"] = []
_may_end = threading.Event()


@dataclass
class Run:
    name: str
    begun: float
    ended: float

    def overlaps(self, other: "Run") -> bool:
        return self.begun < other.ended and other.begun < self.ended


@handler("work")
async def work(payload: str) -> None:
    begun = time.monotonic()
    await asyncio.sleep(0.3)
    _runs.append(Run(payload, begun, time.monotonic()))


@handler("stuck", timeout=0.2, max_attempts=1)
def stuck() -> None:
    _may_end.wait(30)


@pytest.fixture(autouse=True)
def no_runs() -> None:
    _runs.clear()
    _may_end.clear()


async def submit_suspect(
    workshop: Workshop, name: str = "suspect", lost: int = SUSPECT_TAKEOVERS
) -> str:
    """Submit a job that was lost so often before it was lost again, and publish it afterwards."""
    request = await workshop.submit_unpublished("work", name)
    changes = []
    for number in range(lost + 1):
        worker_id = f"lost-{number}"
        if number:
            changes.append(Change(kind=Status.TAKEN_OVER, continues=True, worker_id=worker_id))
        lock = job_lock(request.job_id)
        changes.append(Change(kind=Status.STARTED, lock=lock, worker_id=worker_id))
    await workshop.append(request.job_id, *changes)
    await workshop.real.queue.publish(JobMessage(request=request))
    return request.job_id


async def test_suspects_run_beside_nothing_while_other_jobs_run_beside_each_other(
    workshop: Workshop,
) -> None:
    jobs = [await submit_suspect(workshop, f"suspect {n}") for n in range(3)]
    jobs += [await workshop.submit("work", f"plain {n}") for n in range(8)]
    workshop.start_worker(work, concurrency=4)
    for job_id in jobs:
        assert (await workshop.until_ended(job_id, seconds=60)).status == "Completed"
    suspects = [run for run in _runs if run.name.startswith("suspect")]
    plain = [run for run in _runs if run.name.startswith("plain")]
    assert (len(suspects), len(plain)) == (3, 8)
    for suspect in suspects:
        assert [run.name for run in _runs if run.overlaps(suspect)] == [suspect.name]
    assert any(one.overlaps(other) for one in plain for other in plain if one is not other)
    await workshop.verified()


@pytest.mark.parametrize("lost", range(6))
async def test_the_trail_says_that_a_job_waits_to_run_alone(workshop: Workshop, lost: int) -> None:
    """``lost`` runs are in the trail before the last one, which is lost too."""
    job_id = await submit_suspect(workshop, lost=lost)
    workshop.start_worker(work)
    head = await workshop.until_ended(job_id)
    last = (await workshop.statuses(job_id))[2 + 2 * lost :]
    if lost + 1 < SUSPECT_TAKEOVERS:
        assert last == ["TakenOver", "Started", "Completed"]
    elif lost < 5:
        assert last == ["TakenOver", "Deferred", "Started", "Completed"]
        waited = (await workshop.history(job_id))[-3]
        assert waited.data == {"reason": "alone"}
        assert waited.message.startswith(f"its worker was lost {lost + 1} times in a row")
    else:
        assert last == ["TakenOver", "Failed"]
        assert head.data["error"]["type"] == "WorkerLost"
    await workshop.verified()


async def test_a_worker_of_one_slot_starts_a_suspect_at_once(workshop: Workshop) -> None:
    job_id = await submit_suspect(workshop)
    workshop.start_worker(work, concurrency=1)
    await workshop.until_ended(job_id)
    assert (await workshop.statuses(job_id))[-3:] == ["TakenOver", "Started", "Completed"]


async def test_a_worker_that_stops_leaves_the_suspect_that_waits_to_another(
    workshop: Workshop,
) -> None:
    await workshop.submit("stuck", timeout_seconds=25)
    first = workshop.start_worker(stuck, work, drain_seconds=0.5)
    job_id = await submit_suspect(workshop)
    await workshop.until_state(job_id, State.DEFERRED)
    await first.stop()
    assert not _runs
    workshop.start_worker(work)
    assert (await workshop.until_ended(job_id, seconds=30)).worker_id == "w2"


async def test_a_handler_that_was_left_behind_keeps_suspects_away_and_no_other_job(
    workshop: Workshop,
) -> None:
    workshop.start_worker(stuck, work)
    await workshop.until_ended(await workshop.submit("stuck"))
    suspect = await submit_suspect(workshop)
    await workshop.until_state(suspect, State.DEFERRED)
    await workshop.run("work", "plain")
    assert [run.name for run in _runs] == ["plain"]
    _may_end.set()
    assert (await workshop.until_ended(suspect, seconds=30)).status == "Completed"
    assert (await workshop.statuses(suspect)).count("Deferred") == 1
    await workshop.verified()


async def test_a_suspect_that_waits_too_long_leaves_the_free_slots_to_other_jobs(
    workshop: Workshop,
) -> None:
    await workshop.submit("stuck", timeout_seconds=25)
    workshop.start_worker(stuck, work, alone_seconds=0.2)
    suspect = await submit_suspect(workshop)
    await workshop.until_state(suspect, State.DEFERRED)
    await workshop.run("work", "plain")
    assert [run.name for run in _runs] == ["plain"]  # and the handler beside it still runs
    _may_end.set()
    assert (await workshop.until_ended(suspect, seconds=30)).status == "Completed"
    assert (await workshop.statuses(suspect)).count("Deferred") == 1
    await workshop.verified()


async def test_a_suspect_gets_its_turn_though_the_queue_is_never_empty(workshop: Workshop) -> None:
    """Each of the jobs beside it takes three times as long as the first wait may."""
    first = [await workshop.submit("work", f"plain {n}") for n in range(6)]
    workshop.start_worker(work, concurrency=3, alone_seconds=0.1)
    suspects = [await submit_suspect(workshop, f"suspect {n}") for n in range(2)]
    plain = {asyncio.create_task(workshop.until_ended(job_id)) for job_id in first}
    ended = asyncio.gather(*(workshop.until_ended(job_id) for job_id in suspects))
    while not ended.done():
        done, plain = await asyncio.wait(plain, return_when=asyncio.FIRST_COMPLETED)
        plain |= {asyncio.create_task(workshop.run("work", "plain")) for _ in done}
    assert [head.status for head in await ended] == ["Completed", "Completed"]
    await asyncio.gather(*plain)
    for run in _runs:
        if run.name.startswith("suspect"):
            assert [other.name for other in _runs if other.overlaps(run)] == [run.name]
    await workshop.verified()


async def test_suspects_that_come_together_do_not_wait_out_each_other_s_delays(
    workshop: Workshop,
) -> None:
    """As after a crash of the whole fleet. A delay of a minute for each would outlast the test."""
    suspects = [await submit_suspect(workshop, f"suspect {n}") for n in range(10)]
    for _ in range(2):
        workshop.start_worker(work, concurrency=8, defer_seconds=60)
    for job_id in suspects:
        assert (await workshop.until_ended(job_id, seconds=55)).status == "Completed"
    assert len({head.worker_id for head in [await workshop.head(j) for j in suspects]}) == 2
    await workshop.verified()


async def test_suspects_that_come_together_to_a_resting_worker_have_their_turns_at_once(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rest is for other jobs, and there are none. A delay of a minute would outlast the test."""
    monkeypatch.setattr(slots, "REST", 1000)
    suspects = [await submit_suspect(workshop, f"suspect {n}") for n in range(4)]
    workshop.start_worker(work, concurrency=8, defer_seconds=60)
    for job_id in suspects:
        assert (await workshop.until_ended(job_id, seconds=50)).status == "Completed"
    await workshop.verified()


async def test_a_suspect_that_waits_can_be_cancelled(workshop: Workshop) -> None:
    await workshop.submit("stuck", timeout_seconds=25)
    workshop.start_worker(stuck, work)
    job_id = await submit_suspect(workshop)
    await workshop.until_state(job_id, State.DEFERRED)
    await workshop.canceller.cancel(job_id, by="test")
    assert (await workshop.until_ended(job_id)).status == "Cancelled"
    _may_end.set()
