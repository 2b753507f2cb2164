"""The end of a job that survives no further loss of its worker."""

from __future__ import annotations

from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change


def lost_for_good(lost: int, worker_id: str) -> Change:
    """Return the end of a job that survives no further loss of its worker."""
    message = f"its worker was lost {lost} times in a row"
    if lost == 1:
        message = "its worker was lost, and it may not start again: what it did is not known"
    error = {"type": "WorkerLost", "message": message, "traceback": ""}
    return Change(kind=Status.FAILED, worker_id=worker_id, message=message, data={"error": error})
