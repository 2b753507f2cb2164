"""Fills a queue, then lets workers empty it: jobs per second and CPU time per job."""

from __future__ import annotations

import time
from dataclasses import dataclass

from devtools.bench.contestant import Contestant
from devtools.bench.ticks import TickFile
from devtools.bench.worker_processes import WorkerProcesses
from devtools.bench_dashboard.cpu_time import cpu_seconds

_LOOK_SECONDS = 0.02
_STALL_SECONDS = 180.0
_SKIPPED_AT_EITHER_END = 0.05
"""Share of the jobs left out: processes start at the one end and run dry at the other."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One measurement.

    Attributes:
        submit_per_second, run_per_second: jobs by wall time.
        submit_cpu_us, run_cpu_us: CPU microseconds per job, in the submitting process and in all
            worker processes with their children.
        start_seconds: from the start of the processes to the first job.
        submit_server_us, run_server_us: CPU microseconds per job of the contestant's own server;
            ``None`` without one.
    """

    jobs: int
    submit_per_second: float
    submit_cpu_us: float
    run_per_second: float
    run_cpu_us: float
    start_seconds: float
    submit_server_us: float | None = None
    run_server_us: float | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    cpu: float
    done: int
    server: float


def drain(contestant: Contestant, jobs: int) -> Drain:
    """Measure one contestant once.

    Raises:
        RuntimeError: a worker died, nothing moved for three minutes, or a job is missing.
    """
    server = _server_seconds(contestant)
    wall, cpu = time.perf_counter(), time.process_time()
    contestant.submit(jobs)
    submit_wall, submit_cpu = time.perf_counter() - wall, time.process_time() - cpu
    submit_server = _server_seconds(contestant) - server
    ticks = TickFile(contestant.folder / "ticks")
    began = time.time()
    with WorkerProcesses(contestant, ticks) as workers:
        samples = _watch(workers, ticks, jobs, contestant)
        contestant.check(jobs)
    first, last = _between(samples, jobs)
    done = last.done - first.done
    return Drain(
        jobs=jobs,
        submit_per_second=jobs / submit_wall,
        submit_cpu_us=submit_cpu / jobs * 1e6,
        run_per_second=done / (last.at - first.at),
        run_cpu_us=(last.cpu - first.cpu) / done * 1e6,
        start_seconds=ticks.ticks()[0].started - began,
        submit_server_us=submit_server / jobs * 1e6 if contestant.server else None,
        run_server_us=(last.server - first.server) / done * 1e6 if contestant.server else None,
    )


def _server_seconds(contestant: Contestant) -> float:
    return 0.0 if contestant.server is None else cpu_seconds(contestant.server)


def _watch(
    workers: WorkerProcesses, ticks: TickFile, jobs: int, contestant: Contestant
) -> list[_Sample]:
    def sample(now: float, done: int) -> _Sample:
        return _Sample(now, workers.cpu_seconds(), done, _server_seconds(contestant))

    samples = [sample(time.perf_counter(), 0)]
    moved = time.perf_counter()
    while samples[-1].done < jobs:
        time.sleep(_LOOK_SECONDS)
        workers.ensure_alive()
        now = time.perf_counter()
        samples.append(sample(now, ticks.count()))
        if samples[-1].done > samples[-2].done:
            moved = now
        elif now - moved > _STALL_SECONDS:
            printed = workers.printed()
            raise RuntimeError(
                f"{contestant.name} stopped after {samples[-1].done} of {jobs} jobs: {printed}"
            )
    return samples


def _between(samples: list[_Sample], jobs: int) -> tuple[_Sample, _Sample]:
    low, high = jobs * _SKIPPED_AT_EITHER_END, jobs * (1 - _SKIPPED_AT_EITHER_END)
    middle = [sample for sample in samples if low <= sample.done <= high]
    if not middle or middle[0].done == middle[-1].done:  # few jobs, all done between two looks
        return samples[0], samples[-1]
    return middle[0], middle[-1]
