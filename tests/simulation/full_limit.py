"""A limit whose only slot is held for long: it keeps back starts, and no request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from random import Random
from uuid import UUID

from jobfleet_contracts.errors import LeaseConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import limit_lock
from jobfleet_contracts.state import State
from tests.simulation.process import BEGIN
from tests.simulation.scenario import Scenario
from tests.simulation.servers import Servers
from tests.simulation.sim_handlers import JOB_TYPE
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.workload import WAITING, Wish

PARTNER = "partner"
FREE_SECONDS = 1700.0
"""After the world has healed the slot is free again."""
SENT_SECONDS = 1200.0
"""After the world has healed each request of a job that waits has been sent by then."""
HOLD_SECONDS, RENEW_SECONDS = 60.0, 5.0
LEASE_ID = "somebody's"


class FullLimit:
    """Jobs of the third party that count against the limit, and who holds its slot."""

    def __init__(self, *, scenario: Scenario, time: VirtualTime, servers: Servers) -> None:
        self._scenario = scenario
        self._time = time
        self._servers = servers
        self._has_ended = False
        dice = Random(f"full limit/{scenario.seed}")
        self._full_from = scenario.fault_seconds * dice.uniform(0.2, 0.8)
        count = dice.randint(3, 8) if scenario.full_limit else 0
        self._requests = [self._request(number, dice) for number in range(count)]

    def wishes(self) -> list[Wish]:
        """Return the limit and the jobs; nothing in a run without a full limit."""
        if not self._requests:
            return []
        limit = Wish(at=0.0, verb="set limit", tag="limit-full", key=f"{PARTNER}/1")
        jobs = [
            Wish(
                at=(each.created_at - BEGIN).total_seconds(),
                verb="submit",
                tag=f"beside-a-full-limit-{number}",
                request=each,
                job_id=each.job_id,
            )
            for number, each in enumerate(self._requests)
        ]
        return [limit, *jobs]

    def begin(self) -> None:
        """Plan who holds the slot: as a long job does, of which the run needs nothing else."""
        if self._requests:
            self._time.after(self._full_from, self._hold)

    def end(self) -> None:
        """Give the slot up."""
        self._has_ended = True
        self._servers.locks.release(limit_lock(PARTNER, 1), LEASE_ID)

    def faults(self, written: Iterable[tuple[float, Event]]) -> Iterator[str]:
        """Yield jobs whose requests were not sent while only the limit was full.

        Args:
            written: each row with the second in which it was stored.
        """
        job_ids = {request.job_id for request in self._requests}
        healed_at = self._scenario.fault_seconds
        unsent: dict[str, float] = {}
        for at, event in written:
            if event.job_id not in job_ids:
                continue
            since = unsent.get(event.job_id, at)
            if at - since > SENT_SECONDS:
                yield f"the request of job {event.job_id} was unsent from {since:.0f} to {at:.0f} s"
            if event.after.state is State.WAITING and not event.after.sent:
                unsent.setdefault(event.job_id, max(at, healed_at))
            else:
                unsent.pop(event.job_id, None)

    def _hold(self) -> None:
        lock = limit_lock(PARTNER, 1)
        if self._time.now > self._scenario.fault_seconds + FREE_SECONDS:
            self.end()
        if self._has_ended:
            return
        self._servers.locks.create(lock)
        with suppress(LeaseConflict):  # a job holds it: again when that has ended
            self._servers.locks.acquire(lock, LEASE_ID, HOLD_SECONDS)
        self._time.after(RENEW_SECONDS, self._hold)

    def _request(self, number: int, dice: Random) -> JobRequest:
        at = self._full_from * dice.uniform(0.2, 1)
        plan = {"seconds": dice.choice((0.2, 2, 5)), "steps": 1, "answer": "completed"}
        return JobRequest(
            job_id=str(UUID(int=(0x7 << 76) | (0x3 << 62) | 1 << 42 | number)),
            type=JOB_TYPE,
            job_name=WAITING,
            created_at=BEGIN + timedelta(seconds=at),
            payload=plan,
            limits=[PARTNER],
            max_attempts=3,
            timeout_seconds=self._scenario.fault_seconds + 2 * FREE_SECONDS,
        )
