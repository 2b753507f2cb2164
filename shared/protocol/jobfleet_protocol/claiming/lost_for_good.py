"""Taking over a job whose worker was lost, and the end of one that survives no further loss."""

from __future__ import annotations

from jobfleet_contracts.event import JobState
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change


def lost_for_good(lost: int, worker_id: str) -> Change:
    """Return the end of a job that survives no further loss of its worker."""
    message = f"its worker was lost {lost} times in a row"
    if lost == 1:
        message = "its worker was lost, and it may not start again: what it did is not known"
    error = {"type": "WorkerLost", "message": message, "traceback": ""}
    return Change(kind=Status.FAILED, worker_id=worker_id, message=message, data={"error": error})


def taken_from(after: JobState, worker_id: str) -> list[Change]:
    """Return what takes a running job from its lost worker without starting it again.

    Append all of it in one transaction: alone, ``TakenOver`` would put a job back into its queue
    that may not start again.
    """
    taken = Change(
        kind=Status.TAKEN_OVER,
        worker_id=worker_id,
        message=f"worker {after.worker_id} was lost",
        data=lost_by(after.worker_id),
    )
    lost = after.takeovers + 1
    return [taken, lost_for_good(lost, worker_id)] if lost > after.max_takeovers else [taken]
