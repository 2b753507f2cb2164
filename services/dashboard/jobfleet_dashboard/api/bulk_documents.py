"""Answers about what people did to the fleet, and about actions on many jobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobfleet_contracts.control import ControlKind
from jobfleet_dashboard.api.documents import Document, Time
from jobfleet_protocol.reading.job_actions import JobAction


class BulkActionDocument(Document):
    """An action on many jobs: accepted once, each of its jobs is acted on once."""

    action_id: str
    action: JobAction
    status: Literal["running", "stopping", "stopped", "ended"]
    by: str
    reason: str
    scope: str = Field(description="The filter, or how the jobs were chosen.")
    count: int
    handled: int
    done: int
    refused: int
    asked_at: Time
    ended_at: Time | None


class JournalEntryDocument(Document):
    """What an operator did; fields that do not belong to it are `null`."""

    sequence: int
    at: Time
    kind: ControlKind
    by: str
    reason: str
    subject: str | None = Field(description="What was changed: `queue`, `type`, `schedule` …")
    name: str | None
    job_id: str | None = Field(description="The one job that it made or let run during a pause.")
    action: BulkActionDocument | None = Field(
        description="The action on many jobs and its progress."
    )


class JournalPage(Document):
    """Newest first."""

    items: list[JournalEntryDocument]
    next: str | None
    searched_back_to: Time | None


class JobResultDocument(Document):
    """What became of one job of an action."""

    job_id: str
    state: str | None
    error: str | None


class JobResultPage(Document):
    """The last ones first."""

    items: list[JobResultDocument]
    next: str | None
