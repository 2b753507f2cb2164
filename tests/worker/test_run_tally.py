"""What a worker says of itself: how many attempts it ended, how many failed, and the last ones."""

from __future__ import annotations

from jobfleet_contracts.worker_status import FENCED, MOST_RECENT_RUNS, WorkerStatus
from jobfleet_worker import Retry, handler
from jobfleet_worker.run.run_tally import RunTally
from tests.conformance.jobs import BEGIN, completed, queued, started
from tests.polling import eventually
from tests.worker.workshop import Workshop


@handler("fails.once")
async def fails_once(payload: int) -> int:
    if payload:
        raise Retry(after=3600)
    return 1


async def test_a_heartbeat_tells_attempts_failures_and_the_last_jobs(workshop: Workshop) -> None:
    running = workshop.start_worker(fails_once)
    first = await workshop.run("fails.once", 0, job_name="größe")
    retried = await workshop.submit("fails.once", 1)
    directory = workshop.backend.directory

    async def with_both() -> WorkerStatus | None:
        workers = await directory.workers(with_stopped=True)
        return next((worker for worker in workers if worker.runs == 2), None)

    worker = await eventually("both attempts in a heartbeat", with_both)
    assert (worker.failures, worker.fenced) == (1, 0)
    assert [(run.job_id, run.ended) for run in worker.recent] == [
        (retried, "retrying"),
        (first.job_id, "completed"),
    ]
    assert worker.recent[1].job_name == "größe"
    await running.stop()
    known = await directory.worker(worker.worker_id)
    assert known is not None
    assert (known.runs, known.stopped_at is not None) == (2, True)


def test_the_last_twenty_attempts_are_remembered_and_refused_ends_count_apart() -> None:
    tally = RunTally()
    for number in range(MOST_RECENT_RUNS + 5):
        head = started(queued())
        ended = completed(head) if number else None
        tally.note(head, ended, started_at=BEGIN, ended_at=BEGIN)
    assert (tally.runs, tally.failures, tally.fenced) == (MOST_RECENT_RUNS + 5, 0, 1)
    assert len(tally.recent) == MOST_RECENT_RUNS
    assert FENCED not in {run.ended for run in tally.recent}
