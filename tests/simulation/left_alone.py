"""The one job that no process finds: its submitter slept for an hour, and died too early."""

from __future__ import annotations

from jobfleet_contracts.state import Status
from tests.simulation.servers import Servers

_OPENINGS = frozenset({Status.QUEUED, Status.SCHEDULED, Status.REDRIVEN})
REOPEN_SECONDS = 60.0
"""Within which a submitter that lives has written the open row again, through faults of storage."""


def is_left_alone(servers: Servers, job_id: str) -> bool:
    """Whether the job lacks its open row for the reason that docs/protocol.md names.

    Its submitter slept between open row and event until the rescuer removed the row, wrote the
    event, and died before it could write the row again. So nobody got an answer.
    """
    head = servers.trail.newest(job_id)
    opens_group = head is not None and head.kind is Status.WAITING and head.sequence == 1
    if head is None or not (head.kind in _OPENINGS or opens_group):
        return False
    if (job_id, head.after.incarnation) not in servers.index.discarded:
        return False
    process, inserted_at = servers.trail.writers[head.event_id]
    return process.died_at is not None and process.died_at - inserted_at < REOPEN_SECONDS
