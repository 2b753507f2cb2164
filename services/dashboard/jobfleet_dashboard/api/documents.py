"""The API's answers: what routes return, and what its description says.

Lists of events and jobs, one job, its attempts and its log lines are encoded by hand, with the same
fields. A list of 200 events then takes 0.7 ms instead of 2.2 ms. A test compares these fields with
the models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.job import Lane
from jobfleet_contracts.state import State

Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str, when_used="unless-none"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Document(BaseModel):
    """Camel case outside; every field is there, ``null`` if it is not known yet."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class ProblemDocument(BaseModel):
    """RFC 9457 problem; ``field`` names what to correct."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str | None = None
    field: str | None = None


class ErrorDocument(Document):
    """What an attempt raised."""

    type: str
    message: str
    traceback: str | None = None
    place: str | None = Field(
        None, description="Module and function of the innermost frame of the user's code."
    )


class EventDocument(Document):
    """One row of the audit trail."""

    job_id: str
    job_name: str
    type: str
    event_id: str
    sequence: int
    status: str
    state: State
    message: str
    timestamp: Time
    attempt: int
    epoch: int
    worker_id: str | None
    duration_ms: int | None
    data: dict[str, Any] = Field(
        description='Values of the event; large data read `{"blob": name, "size": bytes}`.'
    )


class JobAnswer(Document):
    """A job that was accepted, or on which something was started."""

    job_id: str
    state: State
    status: State
    status_url: str
    message: str
    warning: str | None = Field(
        description="Other open jobs of the lock key have another number of slots, or the job "
        "names a limit that is not set."
    )


class CallbackAnswer(Document):
    """The job that a third party's result has ended."""

    job_id: str
    state: State


class BulkItem(BaseModel):
    """Either the job or why it was refused."""

    model_config = ConfigDict(extra="forbid")

    jobId: str | None = None  # noqa: N815 - the wire's name
    state: State | None = None
    warning: str | None = None
    error: ProblemDocument | None = None


class BulkAnswer(Document):
    """One item per job, in order."""

    items: list[BulkItem]


class EventPage(Document):
    """Events, newest first."""

    items: list[EventDocument]
    next: str | None
    searched_back_to: Time | None


class HistoryPage(Document):
    """Events of one job, oldest first."""

    items: list[EventDocument]
    next: str | None


class JobLockDocument(Document):
    """A lock key, limit, rate, or the fleet's lock."""

    kind: Literal["lockKey", "limit", "rate", "fleet"]
    name: str = Field(description="Empty for the fleet's lock and for a rate key of the handler.")
    slot: int | None


class JobRowDocument(Document):
    """One job of a list, as the index knows it."""

    job_id: str
    job_name: str
    type: str
    state: State
    status: str
    queue: str
    priority: int
    lock_key: str | None
    lock_slots: int
    holds: list[JobLockDocument] = Field(description="The locks that a running job holds.")
    waits_for: JobLockDocument | None = Field(description="The lock for which the job is deferred.")
    sequence: int
    attempt: int
    attempts: int
    max_attempts: int
    epoch: int
    worker_id: str | None
    message: str
    created_at: Time
    updated_at: Time
    due_at: Time | None
    dismissed: bool


class JobPage(Document):
    """Jobs, last changed first."""

    items: list[JobRowDocument]
    next: str | None
    searched_back_to: Time | None


class SuccessorDocument(Document):
    """A job that follows another one."""

    type: str
    when: Literal["success", "failure", "always"]
    job_id: str | None = Field(description="`null` unless the job has ended as `when` says.")


class JobDocument(Document):
    """One job; ``events`` is its complete history, beyond 1,000 or 1 MiB the newest ones."""

    job_id: str
    job_name: str
    type: str
    state: State
    queue: str
    priority: int
    lock_key: str | None
    lock_slots: int
    limits: list[str] = Field(description="Limits of the request, and known ones of the handler.")
    holds: list[JobLockDocument] = Field(description="The locks that a running job holds.")
    waits_for: JobLockDocument | None = Field(description="The lock for which the job is deferred.")
    attempt: int
    attempts: int
    max_attempts: int
    epoch: int
    worker_id: str | None
    created_at: Time
    run_at: Time | None
    started_at: Time | None = Field(description="Start of the last attempt.")
    completed_at: Time | None
    updated_at: Time
    next_retry_at: Time | None
    result: Any
    last_error: ErrorDocument | None
    last_response: Any
    callback_job_id: str | None = Field(description="The job that delivers the result.")
    callback_conflict: str | None = Field(
        description="Why the result is not delivered; `null` unless its job's id was taken."
    )
    group_id: str | None = Field(description="The group that the job belongs to.")
    follows_job_id: str | None = Field(description="The job whose end made this one.")
    successors: list[SuccessorDocument] = Field(description="Jobs to make when it ends.")
    schedule_name: str | None = Field(description="The schedule that made the job.")
    scheduled_for: Time | None = Field(description="Its tick; `null` if it was run by hand.")
    payload: Any
    context: dict[str, Any] | None
    events: list[EventDocument]
    events_next: str | None = Field(description="Cursor for `/events`: older ones.")


class AttemptDocument(Document):
    """One run of the handler."""

    attempt_number: int
    worker_id: str | None
    epoch: int
    started_at: Time
    ended_at: Time | None
    duration_ms: int | None
    succeeded: bool | None = Field(description="`null` if it runs or was deferred.")
    error: ErrorDocument | None
    status_code: int | None
    response: Any


class AttemptPage(Document):
    """Attempts, first one first."""

    items: list[AttemptDocument]
    next: str | None


class LogLineDocument(Document):
    """One line that a handler logged; credentials are masked, long texts cut."""

    epoch: int
    at: Time
    attempt: int
    level: str = Field(description="`debug`, `info`, `warning`, `error`, `critical`.")
    message: str
    logger: str | None = Field(None, description="Name of the `logging` logger; missing if none.")
    fields: dict[str, Any] | None = Field(None, description="Values of the line; missing if none.")
    exception: str | None = Field(None, description="The traceback; missing if none.")


class LogPage(Document):
    """Log lines, first one first."""

    items: list[LogLineDocument]
    next: str | None
    cursor: str = Field(description="Cursor after the last line, to ask for later ones.")


class PauseDocument(Document):
    """Whether a queue or type is paused."""

    paused: bool
    paused_by: str | None
    paused_at: Time | None
    paused_until: Time | None
    pause_reason: str


class LaneDocument(Document):
    """Messages ready in one lane, and the pause of its queue."""

    queue: str
    lane: Lane
    ready: int
    paused: bool
    paused_by: str | None
    paused_until: Time | None


class QueueDocument(PauseDocument):
    """One queue; ``oldest…`` and ``waitingSeconds`` speak of the job queued longest."""

    queue: str
    depth: int
    lanes: dict[str, int]
    oldest_job_id: str | None
    oldest_since: Time | None
    waiting_seconds: float | None
    in_per_minute: float
    out_per_minute: float
    workers: list[str]


class QueueList(Document):
    """All lanes, and all queues."""

    items: list[LaneDocument]
    queues: list[QueueDocument]


class PauseAnswer(Document):
    """What was done; it stands in the control log."""

    message: str
    changed: bool = Field(
        default=True, description="Of a pause or resume: false if all was so before."
    )
    warning: str | None = Field(
        default=None, description="Of a pause: no live worker serves the queue or handles the type."
    )


class LockJobDocument(Document):
    """A job that holds a lock key or waits for it."""

    job_id: str
    job_name: str
    type: str
    state: State
    updated_at: Time


class LockHolderDocument(LockJobDocument):
    """A job that holds a slot; ``leased`` is false where its worker is lost."""

    lock: str | None
    slot: int
    leased: bool
    held_since: Time | None


class LockDocument(Document):
    """A lock key with its holders and its first ten waiters; ``waiting`` counts up to 1,000.

    A key that jobs name with several ``slots`` is listed once for each: they are limited apart.
    """

    lock_key: str
    slots: int
    used: int = Field(description="Slots that are leased now.")
    holders: list[LockHolderDocument]
    waiting: int
    waiters: list[LockJobDocument]


class LockList(Document):
    """Up to 100 lock keys, held ones first."""

    items: list[LockDocument]


class DeadLetterDocument(Document):
    """A malformed message (``letterId`` …) or a dead job (``jobId`` …)."""

    kind: Literal["message", "job"]
    at: Time
    reason: str
    letter_id: str | None
    message_id: str | None
    body: str | None
    size: int | None
    job_id: str | None
    job_name: str | None
    type: str | None
    state: State | None
    attempt: int | None


class DeadLetterPage(Document):
    """Messages first, then jobs; each newest first."""

    items: list[DeadLetterDocument]
    next: str | None


class ProblemOfFleet(Document):
    """One thing that is wrong with the fleet."""

    kind: Literal[
        "broker",
        "nobody",
        "failing",
        "unserved",
        "noHandler",
        "waiting",
        "held",
        "circuit",
        "late",
        "silent",
        "paused",
    ]
    severity: Literal["bad", "warning"]
    text: str
    link: str = Field(description="The dashboard's page that shows the problem.")


class VerdictDocument(Document):
    """Whether the fleet is well."""

    tone: Literal["bad", "warning", "good", "idle"]
    summary: str
    problems: list[ProblemOfFleet]


class StateDocument(Document):
    """Jobs of one state; rates and durations of ended ones within the window."""

    state: State
    count: int
    window_seconds: float | None
    ended_in_window: int | None
    per_minute: float | None
    mean_duration_ms: float | None
    ended_in_day: int | None
    mean_duration_ms_in_day: float | None


class StateList(Document):
    """One item per state."""

    items: list[StateDocument]


class ActionItem(BaseModel):
    """What became of one job."""

    model_config = ConfigDict(extra="forbid")

    jobId: str  # noqa: N815 - the wire's name
    state: State | None = None
    error: ProblemDocument | None = None


class ActionAnswer(Document):
    """One item per job, or the action that goes on by itself."""

    items: list[ActionItem]
    action_id: str | None = Field(
        None, description="Id of an action in the background: see `/api/actions/{actionId}`."
    )
    status_url: str | None = None


class Alive(Document):
    """The process answers."""

    status: Literal["alive"]


class CheckDocument(Document):
    """One part of the backend; details only for those who have a key."""

    part: str
    ok: bool
    address: str | None
    detail: str | None
    remedy: str | None


class Readiness(Document):
    """Whether the backend can be used."""

    status: Literal["ready", "not ready"]
    checks: list[CheckDocument]
