"""Jobs that must not run at the same time do not, and each job ends once."""

import itertools
from collections import Counter

from tests.polling import eventually
from tests.servers import ON_AZURE
from tests.system.fleet import Fleet
from tests.system.verified import assert_verified


async def test_two_workers_complete_each_of_many_jobs_exactly_once(fleet: Fleet) -> None:
    fleet.start_worker()
    fleet.start_worker()
    job_ids = [
        await fleet.submit_steps(steps=2, step_seconds=0.01, fail_attempts=int(n % 10 == 0))
        for n in range(100)
    ]
    await fleet.until_ended(*job_ids, seconds=180)
    for job_id in job_ids:
        assert Counter(await fleet.statuses(job_id))["Completed"] == 1
    await assert_verified(fleet.backend)

    async def queues_are_empty() -> bool:
        return not any(depth.ready for depth in await fleet.backend.queue.depths())

    await eventually("empty queues", queues_are_empty, seconds=120)


@ON_AZURE
async def test_in_scope_fleet_no_two_jobs_of_three_workers_run_at_the_same_time(
    fleet: Fleet,
) -> None:
    for _ in range(3):
        fleet.start_worker(lock_scope="fleet")
    job_ids = [await fleet.submit_steps(steps=2, step_seconds=0.1) for _ in range(10)]
    await fleet.until_ended(*job_ids)
    assert_no_overlap(await fleet.running_intervals(job_ids))
    for job_id in job_ids:
        assert "Deferred" not in await fleet.statuses(job_id)
    await assert_verified(fleet.backend)


@ON_AZURE
async def test_jobs_with_one_lock_key_run_one_after_the_other(fleet: Fleet) -> None:
    fleet.start_worker()
    fleet.start_worker()
    job_ids = [
        await fleet.submit_steps(steps=2, step_seconds=0.2, lock_key="customer-42")
        for _ in range(5)
    ]
    await fleet.until_ended(*job_ids, seconds=120)
    assert_no_overlap(await fleet.running_intervals(job_ids))
    await assert_verified(fleet.backend)


def assert_no_overlap(intervals: list[tuple[float, float]]) -> None:
    for (_, ended), (started, _) in itertools.pairwise(intervals):
        assert started >= ended, f"one ran until {ended}, the next began at {started}"
