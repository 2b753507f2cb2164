"""Answers about failures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobfleet_dashboard.api.documents import Document, Time

_RANGE = Literal["15m", "1h", "24h", "7d"]


class ErrorStepDocument(Document):
    """Failures of one minute or hour."""

    start: Time
    jobs: int
    retried: int


class ErrorGroupDocument(Document):
    """Failures of one type, exception class and place in the code.

    The group without type, error and place holds what is beyond 200 groups of the answer, or of
    one writer and hour.
    """

    group_id: str
    type: str = Field(description="Empty for a group of several types, as `NoHandler`.")
    error: str
    place: str = Field(description="Module and function of the innermost frame of the user's code.")
    message: str = Field(description="Message of the last failure.")
    last_job_id: str
    first_at: Time
    last_at: Time
    jobs: int = Field(description="Jobs that ended with this error; a redriven job counts again.")
    retried: int = Field(description="Failed attempts that were retried.")
    steps: list[ErrorStepDocument]


class ErrorReportDocument(Document):
    """The groups of a range, most failed jobs first; at most 200 and one for the rest."""

    range: _RANGE
    since: Time
    counted_back_to: Time | None = Field(
        description="How far back failures were counted; `null`: the whole range."
    )
    items: list[ErrorGroupDocument]
