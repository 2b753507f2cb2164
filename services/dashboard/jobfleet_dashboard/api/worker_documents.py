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
    level: int = Field(description="Of the protocol that its release has.")
    started_at: Time
    heartbeat_at: Time
    alive: bool
    draining: bool
    slots: int
    slots_used: int
    queues: list[str]
    types: list[str]
    open_circuits: list[str]
    schedules: list[str] = Field(description="Names of those that its code declares.")
    clock_off_seconds: float = Field(
        description="Its clock is ahead of the storage's, negative: behind; 0: not known to be."
    )
    running: list[RunningDocument]
    unreadable: str | None = Field(description="Why its row cannot be read.")


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
