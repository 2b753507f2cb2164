"""What must be true of schedules after a run: the log, the trail, and the answers agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jobfleet_contracts.event import Event
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.audit.control_check import check_control_log, jobs_promised
from jobfleet_protocol.trail.tombstone import is_tombstone
from tests.simulation.servers import Servers


def schedule_faults(servers: Servers, trails: Mapping[str, Sequence[Event]]) -> Iterator[str]:
    """Yield everything that is wrong."""
    promised: set[str] = set()
    for (subject, name), rows in servers.control_log.logs.items():
        log = [rows[sequence] for sequence in sorted(rows)]
        for violation in check_control_log(log):
            yield f"{subject} {name} #{violation.sequence}: {violation.message}"
        for entry, job_id in jobs_promised(log):
            promised.add(job_id)
            if not trails.get(job_id) and job_id not in servers.trail.jobs:
                yield f"{subject} {name} #{entry.sequence}: job {job_id} was never made"
        promised |= {str(entry.details.get("jobId")) for entry in log}
    for job_id, history in trails.items():
        if history and job_id not in promised and _names_a_schedule(history):
            yield f"job {job_id} is a schedule's, and no entry stands for it"


def _names_a_schedule(history: Sequence[Event]) -> bool:
    first = history[0]
    if first.sequence != 1 or is_tombstone(first):  # a gap breaks rule 1
        return False
    context = request_of(first).context
    return context is not None and "scheduleName" in context
