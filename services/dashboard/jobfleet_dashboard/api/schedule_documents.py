"""Answers about schedules."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from jobfleet_contracts.control import ControlKind
from jobfleet_contracts.schedule import CatchUp, Overlap
from jobfleet_contracts.state import State
from jobfleet_dashboard.api.documents import Document, Time

ScheduleMessage = Literal["paused", "resumed", "was not paused", "removed"]


class ScheduleContent(Document):
    """What live workers declare in code under this name."""

    digest: str
    worker_ids: list[str]


class ScheduleDocument(Document):
    """One schedule now; all but ``name`` and ``error`` are ``null`` if it cannot be read."""

    name: str
    type: str | None
    cron: str | None
    every_seconds: float | None
    timezone: str | None
    start: Time | None
    overlap: Overlap | None
    catch_up: CatchUp | None
    jitter_seconds: float | None
    payload: Any
    queue: str | None
    lock_key: str | None
    lock_slots: int | None
    job: dict[str, Any] | None = Field(description="The request from which each job is made.")
    paused: bool | None
    paused_by: str | None
    paused_reason: str | None
    paused_since: Time | None
    declared_by: str | None = Field(
        description="`code`, or the name under which the schedule was last declared or changed."
    )
    differs_from_code: bool | None
    in_code: bool | None = Field(description="Whether a live worker's code declares the schedule.")
    contents: list[ScheduleContent] | None = Field(
        description="Several if workers declare the schedule differently; the newest holds."
    )
    handled: bool | None = Field(description="Whether a live worker handles the type.")
    payload_refused: str | None = Field(
        description="Why the handler of a live worker refuses the payload."
    )
    next_runs: list[Time] | None = Field(
        description="The next five times; none while the schedule is paused."
    )
    last_tick: Time | None
    last_job_id: str | None
    last_state: State | None
    late: bool | None = Field(description="A tick is late by a minute or more.")
    late_since: Time | None
    error: str | None


class ScheduleList(Document):
    """All schedules, by name."""

    items: list[ScheduleDocument]


class ScheduleChange(Document):
    """One field of a declaration that was changed.

    Values are masked and cut after 200 characters, those of no text as JSON.
    """

    field: str
    old: str | None = Field(description="`null` where it was not said.")
    new: str | None = Field(description="`null` where it is not said any more.")


class ScheduleEntry(Document):
    """One entry of a schedule's log."""

    sequence: int
    kind: ControlKind
    tick: Time | None
    job_id: str | None
    by: str
    reason: str
    count: int | None = Field(description="Ticks that were skipped.")
    running_job_id: str | None = Field(
        description="The running job because of which a tick was skipped."
    )
    changes: list[ScheduleChange] = Field(
        description="Fields of the declaration that the entry changed, by name."
    )
    timestamp: Time


class ScheduleHistory(Document):
    """Entries, newest first."""

    items: list[ScheduleEntry]
    next: str | None


class ScheduleAnswer(Document):
    """What was done."""

    name: str
    message: ScheduleMessage
    changed: bool = Field(description="False if all was so before.")


class BackfilledJob(Document):
    """The job of one tick."""

    job_id: str
    state: State
    created: bool = Field(description="False if an earlier backfill made the job.")


class BackfillAnswer(Document):
    """One job per tick, oldest tick first."""

    items: list[BackfilledJob]


class NextRuns(Document):
    """When a schedule fires next."""

    items: list[Time]
