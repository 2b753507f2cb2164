"""Answer about one worker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobfleet_dashboard.api.documents import Document, Time, WorkerDocument


class EndedRunDocument(Document):
    """An attempt that the worker has ended."""

    job_id: str
    job_name: str
    type: str
    attempt: int
    started_at: Time
    ended_at: Time
    ended: str = Field(
        description="The job's state after it, or `fenced`: another worker runs the job."
    )


class TakeoverDocument(Document):
    """A job that was taken from the worker."""

    job_id: str
    job_name: str
    type: str
    attempt: int
    at: Time
    by_worker_id: str | None


class WorkerDetail(WorkerDocument):
    """One worker, up to seven days after its last heartbeat."""

    condition: Literal["alive", "draining", "stopped", "gone", "takenOver", "unreadable"]
    since: Time = Field(
        description="When it started, stopped, was last heard of, or lost its first job after that."
    )
    stopped_at: Time | None
    runs: int = Field(description="Attempts that it has ended, as of its last heartbeat.")
    failures: int = Field(description="Those of them that failed or ran out of time.")
    fenced: int = Field(description="Those whose end was refused: another epoch ran the job.")
    recent: list[EndedRunDocument] = Field(description="The last 20 attempts, newest first.")
    takeovers: list[TakeoverDocument] = Field(description="Newest first.")
    more_takeovers: bool = Field(
        description="It lost more than 20 jobs: search for `lostby:WORKERID`."
    )
