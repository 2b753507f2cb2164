"""Answers about job types."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobfleet_dashboard.api.documents import Document, PauseDocument, Time


class PercentilesDocument(Document):
    """Of `count` durations, within 5 %; `null` if there is none."""

    count: int
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


class TypeFiguresDocument(Document):
    """What jobs of a type did within a span."""

    ended: int = Field(description="Jobs that ended; a redriven job counts once for each end.")
    ended_per_minute: float
    failed: int = Field(description="Ended jobs that failed or timed out.")
    failure_share: float | None = Field(description="`null` if no job ended.")
    retried: int = Field(description="Failed attempts that were retried.")
    waiting: PercentilesDocument = Field(
        description="Time between an attempt's due time and its start."
    )
    running: PercentilesDocument = Field(
        description="Time that attempts ran, whatever their outcome."
    )


class NamedTypeDocument(Document):
    """A job type by its name."""

    type: str = Field(
        description="Empty for all types beyond the first 50 that a process saw within ten minutes."
    )


class TypeDocument(PauseDocument, NamedTypeDocument):
    """One job type, the live workers that handle it, and what its jobs did."""

    # Fields of the last base come first: an answer begins with the type.
    workers: list[str]
    last_hour: TypeFiguresDocument = Field(description="Since `hourSince`.")
    last_day: TypeFiguresDocument = Field(description="Since `daySince`.")


class SlowRunDocument(Document):
    """An attempt that ended within the last day."""

    job_id: str
    job_name: str
    type: str
    attempt: int
    ended: Literal["completed", "failed", "cancelled", "timedOut", "retried"]
    ended_at: Time
    duration_ms: int


class TypeList(Document):
    """All types, by name, and the 20 slowest attempts of the last day, slowest first."""

    items: list[TypeDocument]
    hour_since: Time = Field(description="A full ten minutes, 60 to 70 minutes ago.")
    day_since: Time
    slowest: list[SlowRunDocument]
