"""How soon an idle worker starts a job that comes alone."""

from __future__ import annotations

import time

from devtools.bench.contestant import Contestant
from devtools.bench.ticks import TickFile
from devtools.bench.worker_processes import WorkerProcesses

_PAUSE_SECONDS = 0.05
_PATIENCE_SECONDS = 120.0
_WARM_UP = 5


def idle_starts(contestant: Contestant, jobs: int) -> list[float]:
    """Return milliseconds from the submit's begin to the handler, of one job at a time.

    Raises:
        RuntimeError: a job did not start within two minutes.
    """
    ticks = TickFile(contestant.folder / "ticks")
    with WorkerProcesses(contestant, ticks), contestant.opened() as send:
        for number in range(1, _WARM_UP + jobs + 1):
            send()
            _until(ticks, number, contestant.name)
            time.sleep(_PAUSE_SECONDS)
        contestant.check(_WARM_UP + jobs)
    return [(tick.started - tick.sent) * 1000 for tick in ticks.ticks()[_WARM_UP:]]


def _until(ticks: TickFile, number: int, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while ticks.count() < number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start job {number}")
        time.sleep(0.002)
