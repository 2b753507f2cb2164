"""A queue that is never empty while a suspect waits for its worker to run nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from uuid import UUID

from jobfleet_contracts.job import JobRequest
from jobfleet_worker.run.slots import Slots
from tests.simulation.client_calls import ClientCalls
from tests.simulation.fleet import ALONE_SECONDS, Fleet
from tests.simulation.process import BEGIN, Process
from tests.simulation.scenario import Scenario
from tests.simulation.sim_handlers import JOB_TYPE
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.workload import Wish

CROWD = "crowd"
SUBMIT_SECONDS = 3.0
REST = 3
LOOK_SECONDS = 1.0
LONGEST_SECONDS = 3 * 3600.0
"""After the faults; by then each suspect has had its four runs."""
_SLACK = 3 * LOOK_SECONDS
_UNSEEN = 1e9
"""Seconds of a wait of which a part passed while its process slept: no next one is too long."""


class Crowd:
    """Submits jobs as long as others are open, and looks how long suspects keep slots from them.

    Attributes:
        faults: waits of suspects that were longer than their bound, or came too soon again.
    """

    def __init__(
        self,
        *,
        scenario: Scenario,
        time: VirtualTime,
        fleet: Fleet,
        client_calls: ClientCalls,
        open_jobs: Callable[[], list[str]],
    ) -> None:
        self.faults: list[str] = []
        self._scenario = scenario
        self._time = time
        self._fleet = fleet
        self._client_calls = client_calls
        self._open_jobs = open_jobs
        self._dice = Random(f"crowd/{scenario.seed}")
        self._number = 0
        self._watches: dict[str, _Watch] = {}

    def begin(self) -> None:
        """Go on to the end of the run."""
        if self._scenario.crowded:
            self._submit()
            self._look()

    def _submit(self) -> None:
        jobs = self._open_jobs()
        others = [name for name in jobs if name != CROWD]
        beyond = self._time.now - self._scenario.fault_seconds
        if beyond > LONGEST_SECONDS and others:
            self.faults.append(f"starved beside a crowd: {', '.join(others)}")
            return
        is_wanted = beyond < 0 or bool(others)
        room = self._scenario.workers * self._scenario.concurrency + 2 - jobs.count(CROWD)
        if is_wanted and room > 0:
            self._client_calls.begin([self._wish()])
        self._time.after(SUBMIT_SECONDS, self._submit)

    def _wish(self) -> Wish:
        self._number += 1
        plan = {"steps": 2, "seconds": self._dice.choice((20, 30, 40))}
        job_id = str(UUID(int=(0x7 << 76) | (0x3 << 62) | 1 << 40 | self._number))
        request = JobRequest(
            job_id=job_id,
            type=JOB_TYPE,
            job_name=CROWD,
            created_at=BEGIN + timedelta(seconds=self._time.now),
            priority=0,  # a lower lane than theirs would starve other jobs by design
            payload=plan,
        )
        return Wish(
            at=0, verb="submit", tag=f"crowd-{self._number}", request=request, job_id=job_id
        )

    def _look(self) -> None:
        self._time.after(LOOK_SECONDS, self._look)
        for process in self._fleet.workers.values():
            if process.worker is not None:
                watch = self._watches.setdefault(process.name, _Watch(process))
                self.faults += watch.look(process.worker.executor.slots, self._time.now)


class _Watch:
    """What one worker's slots looked like, once a second."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._waits_since: float | None = None
        self._last_wait = 0.0
        self._ended_at = float("-inf")
        self._began_unseen = False

    def look(self, slots: Slots, now: float) -> list[str]:
        """Return what is wrong with a wait that goes on or has begun."""
        if not self._process.is_awake:
            # Its own clock runs on: how long this wait was, nobody saw.
            self._waits_since, self._last_wait = None, _UNSEEN
            self._began_unseen = slots.is_reserved
            return []
        faults: list[str] = []
        waits = slots.is_reserved and slots.taken > slots.suspects
        if waits and self._waits_since is None:
            self._waits_since = now
            rested = now - self._ended_at
            if rested < REST * self._last_wait - REST * _SLACK and self._last_wait < _UNSEEN:
                faults.append(f"reserved its slots again after {rested:.0f} s")
        if self._waits_since is not None:
            waited = now - self._waits_since
            if waited > max(ALONE_SECONDS, 2 * self._last_wait) + _SLACK:
                faults.append(f"kept its slots for a suspect for {waited:.0f} s")
            if not waits:
                self._last_wait = _UNSEEN if self._began_unseen else waited
                self._ended_at, self._waits_since, self._began_unseen = now, None, False
        return [f"{self._process.name} {fault}" for fault in faults]
