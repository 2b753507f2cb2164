"""What must be true of histories that the retention has removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.trail.tombstone import is_tombstone
from tests.simulation.process import BEGIN
from tests.simulation.servers import Servers

SKEW_SECONDS = 1.0
"""By which wall clocks of a run differ at most, where no clock is set."""


def is_removed(rows: Mapping[int, Event]) -> bool:
    """Whether a tombstone stands for the job, and nothing else."""
    return len(rows) == 1 and is_tombstone(rows[1])


class Removal:
    """Examines what the retention has left and what it has taken."""

    def __init__(self, *, servers: Servers, retention_seconds: float) -> None:
        self._servers = servers
        self._seconds = retention_seconds

    def faults(self) -> Iterator[str]:
        """Yield everything that is wrong."""
        yield from self._servers.trail.torn
        yield from self._times()
        for job_id, rows in self._servers.trail.jobs.items():
            yield from self._stones(job_id, rows)
        removed = {j for j, rows in self._servers.trail.jobs.items() if is_removed(rows)}
        for job_id, sequence in self._servers.index.timeline:
            if job_id in removed:
                yield f"the timeline still shows #{sequence} of job {job_id}"
        for name in self._servers.blobs:
            if name.partition("/")[0] in removed:
                yield f"a value of a removed history is left: {name}"

    def _stones(self, job_id: str, rows: Mapping[int, Event]) -> Iterator[str]:
        """Each job has ended as its tombstone says, which a repeated submit relies on."""
        if not is_removed(rows):
            if any(is_tombstone(event) for event in rows.values()):
                yield f"job {job_id} has {len(rows)} rows, and no lone tombstone"
            return
        for violation in verify_job([rows[1]]):
            yield f"tombstone of job {job_id}: {violation.message}"
        stone, history = rows[1], self._servers.trail.complete(job_id)
        if stone.after.state is not history[-1].after.state:
            yield f"job {job_id} is {history[-1].after.state}, its tombstone {stone.after.state}"
        if stone.data["removed"] != len(history) - 1:
            yield f"the tombstone of job {job_id} does not count its {len(history)} rows"
        erased = history[-1].status == Status.ERASED
        if not erased and stone.data["digest"] != history[0].data.get(
            "digest", stone.data["digest"]
        ):
            yield f"the tombstone of job {job_id} names another request"

    def _times(self) -> Iterator[str]:
        """Nothing goes before its time, and nothing is written after it has gone."""
        last: dict[str, float] = {}
        sealed: set[str] = set()
        for when, event in self._servers.trail.written:
            if event.job_id in sealed:
                yield f"{event.status} of job {event.job_id} was written after its removal"
            if is_tombstone(event):
                sealed.add(event.job_id)
                age = when - last[event.job_id]
                if age < self._seconds - SKEW_SECONDS:
                    yield f"job {event.job_id} was removed {age:.1f} s after its end"
            last[event.job_id] = (event.occurred_at - BEGIN).total_seconds()
