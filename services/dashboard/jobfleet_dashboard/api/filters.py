"""Filters of lists: read from the query string, checked, and named if they do not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.job import ONE_LINE
from jobfleet_contracts.state import Status
from jobfleet_protocol.reading.event_search import event_query
from jobfleet_protocol.reading.group_reader import MEMBER_STATES
from jobfleet_protocol.reading.job_filter import job_query
from jobfleet_protocol.reading.journal import ActionFilter, Verb
from jobfleet_protocol.reading.list_export import PAGE as EXPORTED_PAGE
from jobfleet_protocol.reading.log_reader import MAX_PAGE_BYTES, PAGE_BYTES

_EVENTS_ONLY = ("status", "name")
_JOBS_ONLY = ("state", "queue", "lock_key", "error_group", "q")


def _moment(value: Any) -> Any:
    """A plus sign in an address reads as a blank."""
    return parse_time(value.replace(" ", "+")) if isinstance(value, str) else value


Moment = Annotated[
    datetime,
    BeforeValidator(_moment, json_schema_input_type=str),
    Field(json_schema_extra={"format": "date-time", "example": "2026-01-31T09:30:00Z"}),
]
Word = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]


class JobsFilter(BaseModel):
    """Query of ``GET /api/jobs``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    view: Literal["events", "jobs"] = Field("events", description="One row per event or per job.")
    limit: int = Field(200, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=2000, description="`next` of the page before.")
    type: Word | None = None
    since: Moment | None = Field(None, description="Inclusive.")
    until: Moment | None = Field(None, description="Exclusive.")
    status: Word | None = Field(None, description="With `view=events`: `Completed`, `Step 3`, …")
    name: Word | None = Field(None, description="With `view=events`: the job's name.")
    state: Word | None = Field(None, description="With `view=jobs`: states, separated by commas.")
    queue: Word | None = Field(None, description="With `view=jobs`.")
    lock_key: Word | None = Field(None, alias="lockKey", description="With `view=jobs`.")
    error_group: Word | None = Field(
        None,
        alias="errorGroup",
        description="With `view=jobs`: dead jobs of a group of `/api/errors`.",
    )
    q: Annotated[str, Field(min_length=1, max_length=500), ONE_LINE] | None = Field(
        None,
        description=(
            "Jobs: a search, as `type:crm.* -state:completed error:quota`. Free text is an id, its "
            "last eight characters, or part of name or lock key, in any case."
        ),
    )

    def event_query(self) -> EventQuery:
        """Return the question to the timeline.

        Raises:
            InvalidRequest: names a filter of the other view, or an unknown status.
        """
        self._refuse(_JOBS_ONLY, "jobs")
        return EventQuery(
            statuses=frozenset(() if self.status is None else {_status(self.status)}),
            job_type=self.type,
            job_name=self.name,
            since=self.since,
            until=self.until,
            limit=self.limit,
            cursor=self.cursor,
        )

    def job_query(self) -> JobQuery:
        """Return the question for jobs.

        Raises:
            InvalidRequest: names a filter of the other view, or an unknown state.
        """
        self._refuse(_EVENTS_ONLY, "events")
        asked = job_query(
            {
                "state": self.state,
                "type": self.type,
                "queue": self.queue,
                "q": self.q,
                "lockKey": self.lock_key,
                "errorGroup": self.error_group,
            },
            limit=self.limit,
            cursor=self.cursor,
        )
        return replace(asked, since=self.since, until=self.until)

    def _refuse(self, names: tuple[str, ...], view: str) -> None:
        for name in names:
            if getattr(self, name) is not None:
                field = to_camel(name)
                raise InvalidRequest(f"{field}: only with view={view}", field=field)


class ExportFilter(BaseModel):
    """Query of the exports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Word | None = Field(None, description="States, separated by commas.")
    type: Word | None = None
    queue: Word | None = None
    lock_key: Word | None = Field(None, alias="lockKey")
    error_group: Word | None = Field(
        None, alias="errorGroup", description="A `groupId` of `/api/errors`."
    )
    q: Annotated[str, Field(min_length=1, max_length=500), ONE_LINE] | None = Field(
        None, description="A search, as `type:crm.* error:quota`."
    )
    since: Word | None = Field(None, description="Changed at or after this time.")
    until: Word | None = Field(None, description="Changed before this time.")

    def job_query(self) -> JobQuery:
        """Return the question for jobs.

        Raises:
            InvalidRequest: names the field that does not fit.
        """
        return job_query(self.model_dump(by_alias=True), limit=EXPORTED_PAGE)


class EventExportFilter(BaseModel):
    """Query of the exports of events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Word | None = Field(None, description="Inclusive.", examples=["2026-01-31T02:00:00Z"])
    until: Word | None = Field(None, description="Exclusive.", examples=["2026-01-31T02:10:00Z"])
    q: Annotated[str, Field(min_length=1, max_length=500), ONE_LINE] | None = Field(
        None,
        description=(
            "A search, as `type:crm.* -status:step worker:e0de error:quota`. Free text is an id, "
            "its last eight characters, or part of name or lock key, in any case."
        ),
    )

    def event_query(self) -> EventQuery:
        """Return the question to the timeline.

        Raises:
            InvalidRequest: names the field that does not fit.
        """
        return event_query(self.fields(), limit=1)

    def fields(self) -> dict[str, str | None]:
        """Return what is searched for."""
        return {"since": self.since, "until": self.until, "q": self.q}


class EventsFilter(EventExportFilter):
    """Query of ``GET /api/events``."""

    limit: int = Field(200, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=2000, description="`next` of the page before.")

    def event_query(self) -> EventQuery:
        """Return the question to the timeline; errors as of the export."""
        return event_query(self.fields(), limit=self.limit, cursor=self.cursor)


class ErrorsFilter(BaseModel):
    """Query of ``GET /api/errors``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    range: Literal["15m", "1h", "24h", "7d"] = Field(
        "1h", description="The range of time that ends now."
    )
    type: Word | None = Field(None, description="Only failures of this job type.")


class ActionsFilter(BaseModel):
    """Query of ``GET /api/actions``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: str | None = Field(None, max_length=2000, description="`next` of the page before.")
    by: Word | None = Field(
        None, description="Part of the name of the person or program that acted, in any case."
    )
    verb: Verb | None = None
    since: Moment | None = Field(None, description="Inclusive.")
    until: Moment | None = Field(None, description="Exclusive.")

    def action_filter(self) -> ActionFilter:
        """Return what is looked for."""
        return ActionFilter(by=self.by or "", verb=self.verb, since=self.since, until=self.until)


class CursorFilter(BaseModel):
    """Query of lists whose pages have one length."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: str | None = Field(None, max_length=2000, description="`next` of the page before.")


class PageFilter(BaseModel):
    """Query of lists that only have pages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=2000, description="`next` of the page before.")


class MembersFilter(PageFilter):
    """Query of ``GET /api/groups/{jobId}/members``."""

    state: Word | None = Field(
        None, description=f"Only members that count by it: {', '.join(MEMBER_STATES)}."
    )


class LinesFilter(BaseModel):
    """Query of ``GET /api/jobs/{jobId}/logs/lines``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit_bytes: int = Field(
        PAGE_BYTES,
        ge=1,
        le=MAX_PAGE_BYTES,
        alias="limitBytes",
        description="A page ends after the line with which it reaches this many stored bytes.",
    )
    cursor: str | None = Field(
        None,
        max_length=2000,
        description="`cursor` of the page before; also to ask for new lines.",
    )


class CountFilter(BaseModel):
    """Query of lists that have no end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(5, ge=1, le=1000)


class HistoryFilter(PageFilter):
    """Query of ``GET /api/jobs/{jobId}/events``."""

    steps: bool = Field(
        True,
        description="`false`: without the events `Step N`, newest page first; `next` leads to "
        "older ones.",
    )


def _status(text: str) -> str:
    try:
        Status.of(text)
    except ValueError:
        known = ", ".join(Status)
        raise InvalidRequest(f"status: {text!r} is none of {known}", field="status") from None
    return text


class VerdictFilter(BaseModel):
    """Query of ``GET /api/verdict``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_age_seconds: int = Field(
        0,
        ge=0,
        le=3600,
        alias="maxAgeSeconds",
        description=(
            "Accept a verdict of up to this age in seconds. Without it the verdict is "
            "at most nine times as old as reading it took."
        ),
    )
