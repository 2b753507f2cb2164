"""Answers about workers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobfleet_dashboard.api.documents import Document, Time


class RunningDocument(Document):
    """A job in a worker's slot, as of its last heartbeat."""

    job_id: str
    job_name: str
    type: str
    attempt: int
    started_at: Time
    lease_seconds_left: float


class WorkerDocument(Document):
    """One worker process; ``alive``: its last heartbeat is less than 15 s old."""

    worker_id: str
    host: str
    pid: int
    version: str
    level: int = Field(description="Protocol level of the worker's release.")
    started_at: Time
    heartbeat_at: Time
    alive: bool
    draining: bool
    slots: int
    slots_used: int
    queues: list[str]
    types: list[str]
    open_circuits: list[str]
    schedules: list[str] = Field(description="Names of schedules that the worker's code declares.")
    clock_off_seconds: float = Field(
        description="How far its clock is ahead of the storage's; negative: behind; 0: unknown."
    )
    running: list[RunningDocument]
    unreadable: str | None = Field(description="Why the worker's row cannot be read.")


class WorkerList(Document):
    """The fleet."""

    items: list[WorkerDocument]


class EndedRunDocument(Document):
    """An attempt that the worker has ended."""

    job_id: str
    job_name: str
    type: str
    attempt: int
    started_at: Time
    ended_at: Time
    ended: str = Field(
        description="The job's state after the attempt, or `fenced` if another worker runs the job."
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
    since: Time = Field(description="Start, stop, last heartbeat, or first lost job after that.")
    stopped_at: Time | None
    runs: int = Field(description="Attempts that the worker has ended, as of its last heartbeat.")
    failures: int = Field(description="Ended attempts that failed or timed out.")
    fenced: int = Field(
        description="Ended attempts whose outcome was refused, because another epoch ran the job."
    )
    recent: list[EndedRunDocument] = Field(description="The last 20 attempts, newest first.")
    takeovers: list[TakeoverDocument] = Field(
        description="Jobs that were taken over from the worker, newest first."
    )
    more_takeovers: bool = Field(
        description="The worker lost more than 20 jobs: search for `lostby:WORKERID`."
    )
