"""Jobs whose messages end the workers that take them: code of theirs runs before any claim."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import HANDED_LOCKS, handed_lock
from jobfleet_contracts.state import CLAIMABLE
from jobfleet_protocol.claiming.unstartable import LOST_BEFORE_CLAIM
from tests.simulation.fake_broker import TAKEN
from tests.simulation.pause_wishes import RUN_VERB
from tests.simulation.process import BEGIN, Process
from tests.simulation.scenario import Scenario
from tests.simulation.servers import Servers
from tests.simulation.sim_handlers import DEADLY_TYPE
from tests.simulation.witness import Witness
from tests.simulation.workload import Wish

DEADLY = "deadly"


class DeadlyMessages:
    """Stands for code that ends its process, as a crash in a library does.

    Attributes:
        faults: takings by which code ran that was to run no more.
    """

    def __init__(self, *, scenario: Scenario, servers: Servers, witness: Witness) -> None:
        self.faults: list[str] = []
        self._servers = servers
        self._witness = witness
        self._dice = Random(f"deadly takings/{scenario.seed}")
        self._tamed: set[str] = set()
        self._handed: dict[str, tuple[object, int, int]] = {}
        servers.locks.on_note = self._see_note

    def key_of(self, process: Process, payload: dict[str, Any]) -> str:
        """Return the lock key of a job, or end the process that asks for it."""
        job_id = payload["id"]
        is_deadly = process.is_alive and job_id not in self._tamed
        if is_deadly and self._dice.random() < payload["deadly"]:
            self._judge(job_id, self._lost_by(job_id))
            self._witness.killed(process, job_id)
            process.vanish()
        return f"key of {job_id}"

    def _lost_by(self, job_id: str) -> int:
        """Return how many workers the message has cost that is about to cost one more.

        A database counts those of its messages. Those that no queue holds are counted here, from
        when their lock was made.
        """
        if (taken := TAKEN.get()) is not None:
            return taken.lost_workers if self._servers.broker.counts_losses else 0
        head = self._servers.trail.newest(job_id)
        incarnation = 1 if head is None else head.after.incarnation
        place = self._servers.locks.place_of(handed_lock(job_id))
        before, of_incarnation, lost = self._handed.get(job_id, (None, 0, 0))
        if (before, of_incarnation) != (place, incarnation):
            lost = 0
        self._handed[job_id] = place, incarnation, lost + 1
        return lost

    def _see_note(self, lock: str, note: Mapping[str, str]) -> None:
        if lock.startswith(HANDED_LOCKS) and int(note["lost"]) >= LOST_BEFORE_CLAIM:
            job_id = lock.rpartition("/")[2]
            self._servers.broker.is_costly(job_id, int(note["incarnation"]))

    def _judge(self, job_id: str, lost: int) -> None:
        """The worker after the tenth that is counted ends an open job unread."""
        head = self._servers.trail.newest(job_id)
        is_open = head is not None and head.after.state in CLAIMABLE
        if lost >= LOST_BEFORE_CLAIM and is_open:
            self.faults.append(
                f"code of job {job_id} ran though its message had cost {lost} workers"
            )
            self._tamed.add(job_id)  # else it would go on for hours


def deadly_wishes(scenario: Scenario) -> list[Wish]:
    """Return what people want of such jobs.

    Where nobody counts, a job is set aside and published again until somebody cancels it.
    """
    dice = Random(f"deadly jobs/{scenario.seed}")
    wishes: list[Wish] = []
    for number in range(scenario.deadly):
        at = dice.uniform(0, scenario.fault_seconds * 0.6)
        request = _request(number, at, dice)
        tag = f"deadly-{number}"
        verb = "foreign" if dice.random() < 0.15 else "submit"
        wishes.append(Wish(at=at, verb=verb, tag=tag, request=request, job_id=request.job_id))
        if scenario.eager_redrives and scenario.counts_losses:
            wishes += _redrives(request, tag, at)
        if scenario.deadly_in_pause:
            wishes += _run_anyway(request.job_id, tag, at)
        later = at + dice.uniform(60, 900)
        if dice.random() < 0.2 or not scenario.counts_losses:
            wishes.append(Wish(at=later, verb="cancel", tag=f"{tag}-end", job_id=request.job_id))
        elif dice.random() < 0.2:
            wishes.append(Wish(at=later, verb="redrive", tag=f"{tag}-again", job_id=request.job_id))
    return wishes


def _redrives(request: JobRequest, tag: str, at: float) -> list[Wish]:
    """Publish the job twice, and redrive it while one of its copies is still a lost worker's."""
    job_id = request.job_id
    twice = Wish(at=at + 0.5, verb="submit", tag=f"{tag}-twice", request=request, job_id=job_id)
    times = (at + 100 + 4 * number for number in range(150))
    again = [
        Wish(at=time, verb="redrive", tag=f"{tag}-eager-{number}", job_id=job_id)
        for number, time in enumerate(times)
    ]
    return [twice, *again]


def _run_anyway(job_id: str, tag: str, at: float) -> list[Wish]:
    """Pause the queue, and let the job run once all the same: each worker hands it to itself."""
    return [
        Wish(at=at, verb="pause queue", tag=f"{tag}-pause"),
        Wish(at=at + 5, verb=RUN_VERB, tag=f"{tag}-anyway", job_id=job_id),
    ]


def _request(number: int, at: float, dice: Random) -> JobRequest:
    job_id = str(UUID(int=(0x7 << 76) | (0x3 << 62) | 1 << 41 | number))
    plan = {
        "id": job_id,
        "deadly": dice.choice((1, 1, 0.8)),
        "steps": dice.randint(1, 3),
        "seconds": dice.choice((0.2, 5, 20)),
    }
    return JobRequest(
        job_id=job_id,
        type=DEADLY_TYPE,
        job_name=DEADLY,
        created_at=BEGIN + timedelta(seconds=at),
        priority=dice.choice((1, 5, 9)),
        payload=plan,
        max_attempts=dice.choice((1, 3)),
    )
