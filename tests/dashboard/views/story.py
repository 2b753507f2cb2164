"""Lives of jobs for the screen, told through the transition table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change, draft

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WORKER = "01a00000-0000-7000-8000-0000000000aa"
OTHER = "01a00000-0000-7000-8000-0000000000bb"


def at(seconds: float) -> datetime:
    """Return a moment of the story."""
    return START + timedelta(seconds=seconds)


def request(**fields: Any) -> JobRequest:
    """Return a job request with these fields."""
    return JobRequest.parse({"type": "demo.steps", "jobName": "count", **fields})


def life(*changes: tuple[float, Change], **fields: Any) -> Sequence[Event]:
    """Return the events of a job that was queued at 0 s and changed at these seconds."""
    asked = request(**fields)
    first = ((0.0, Change(kind=Status.QUEUED, max_attempts=3, data={"request": asked.to_json()})),)
    events: list[Event] = []
    for seconds, change in first + changes:
        previous = events[-1] if events else None
        events.append(draft(previous, JobFacts.of(asked), change, occurred_at=at(seconds)))
    return events


def started(worker: str = WORKER) -> Change:
    """A claim."""
    return Change(kind=Status.STARTED, worker_id=worker, lock="job/x")


def step(number: int, of: int) -> Change:
    """A progress report."""
    data = {"step": number, "of": of}
    return Change(
        kind=Status.STEP, step=number, worker_id=WORKER, message=f"{number}/{of}", data=data
    )


def failed(message: str = "no disk") -> Change:
    """The end of all attempts."""
    error = {"type": "OSError", "message": message, "traceback": "Traceback …"}
    return Change(kind=Status.FAILED, worker_id=WORKER, message=message, data={"error": error})


def retry(due: float, message: str = "no disk") -> tuple[Change, Change]:
    """A failed attempt with another to come."""
    error = {"type": "OSError", "message": message, "traceback": "Traceback …"}
    return (
        Change(
            kind=Status.ATTEMPT_FAILED,
            worker_id=WORKER,
            message=message,
            due_at=at(due),
            data={"error": error},
        ),
        Change(kind=Status.RETRY_SCHEDULED, worker_id=WORKER, data={"delaySeconds": 2}),
    )
