"""A rate holds over real processes: no second has too many starts, and few slots are wasted."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.rate import Rate
from jobfleet_contracts.state import State, Status
from tests.polling import eventually
from tests.servers import ON_AZURE
from tests.system.fleet import Fleet
from tests.system.rated_handlers import TEN, TWENTY
from tests.system.verified import assert_verified

WINDOW_SECONDS = 1.0
FIRST, LAST = 50, 500
"""Starts between which the throughput is measured."""


@ON_AZURE
@pytest.mark.timeout(200)
async def test_no_second_has_more_starts_than_the_bound_though_a_worker_is_killed(
    fleet: Fleet,
) -> None:
    rate = Rate("20/second")
    histories = await run(fleet, TWENTY, 60, kill_after=20)
    starts = starts_of(histories)
    assert len(starts) >= 60
    assert most_in_a_window(starts) <= bound(rate)


@pytest.mark.chaos
@pytest.mark.timeout(400)
async def test_six_hundred_jobs_start_at_the_rate_though_a_worker_is_killed(fleet: Fleet) -> None:
    rate = Rate("10/second")
    histories = await run(fleet, TEN, 600, kill_after=200)
    starts = starts_of(histories)
    assert most_in_a_window(starts) <= bound(rate)
    seconds = starts[LAST] - starts[FIRST]
    wasted = slots_wasted(histories, starts[FIRST], starts[LAST])
    measured = (LAST - FIRST + wasted) / seconds
    measures = f"{(LAST - FIRST) / seconds:.2f} starts a second, {wasted} slots wasted"
    assert 9.0 <= measured <= 11.0, measures
    assert wasted <= 60, "one worker's reservations of five seconds"


async def run(fleet: Fleet, job_type: str, count: int, *, kill_after: int) -> list[Sequence[Event]]:
    """Run so many jobs on three workers, kill one on the way, and return their histories."""
    handlers = "tests.system.rated_handlers"
    for _ in range(3):
        fleet.start_worker(concurrency="10", handlers=handlers)
    first = await fleet.submit_steps(steps=1, step_seconds=0)
    await fleet.until_ended(first)
    requests = [JobRequest(type=job_type) for _ in range(count)]
    await fleet.submit_all(requests)
    job_ids = [request.job_id for request in requests]

    async def enough_ended() -> bool:
        counts = await fleet.backend.reader.counts()  # the index, which may lag, costs one question
        return counts.get(State.COMPLETED, 0) >= kill_after

    await eventually(f"{kill_after} ended jobs", enough_ended, seconds=240, every=0.5)
    fleet.workers[0].signal(signal.SIGKILL)
    await fleet.until_ended(*job_ids, seconds=200)
    histories = [await fleet.history(job_id) for job_id in job_ids]
    assert all(history[-1].status == "Completed" for history in histories)
    await assert_verified(fleet.backend)
    return histories


def starts_of(histories: Sequence[Sequence[Event]]) -> list[float]:
    """Return when handlers began: by their own word, or by the claim where that was lost."""
    starts = [float(history[-1].data["result"]) for history in histories]
    for history in histories:
        claims = [event for event in history if event.kind is Status.STARTED]
        starts += [event.occurred_at.timestamp() for event in claims[:-1]]
    return sorted(starts)


def most_in_a_window(starts: Sequence[float]) -> int:
    return max(
        sum(start <= other <= start + WINDOW_SECONDS for other in starts) for start in starts
    )


def bound(rate: Rate) -> float:
    """All processes of this test share one clock, so none is off."""
    window = WINDOW_SECONDS + rate.grace_seconds
    return window / rate.interval.total_seconds() + rate.burst


def slots_wasted(histories: Sequence[Sequence[Event]], since: float, until: float) -> int:
    """Return how many slots in a span of time were given to jobs that did not start in them."""
    wasted = 0
    for history in histories:
        used = {event.data.get("slot") for event in history if event.kind is Status.STARTED}
        for event in history:
            slot = event.data.get("slot") if event.kind is Status.DEFERRED else None
            due = event.after.due_at
            if slot is not None and slot not in used and due is not None:
                wasted += since <= due.timestamp() <= until
    return wasted
