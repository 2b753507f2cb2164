"""What the page of one job shows."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.event import JobState
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_dashboard.views.event_row import EventRow
from jobfleet_dashboard.views.job.attempt_row import AttemptRow, attempt_rows
from jobfleet_dashboard.views.job.job_actions import Button, buttons_for
from jobfleet_dashboard.views.job.job_facts import Fact, job_facts
from jobfleet_dashboard.views.job.job_sentence import job_sentence
from jobfleet_dashboard.views.job.job_view import JobView
from jobfleet_dashboard.views.job.spans import span_rows
from jobfleet_dashboard.views.job.timeline_svg import TimelineDrawing, draw_timeline
from jobfleet_dashboard.views.json_text import JsonText, json_text
from jobfleet_dashboard.views.text_span import Sentence, TextSpan
from jobfleet_protocol.reading.job_record import etag_of
from jobfleet_protocol.trail.tombstone import is_tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job for the screen.

    Attributes:
        facts: what was asked for and what belongs to it; only what is set.
        events: lines of the history, at most 250; ``omitted`` earlier ones are not shown.
        later: whether newer events than the shown ones stand in the trail.
        documents: payload, result, checkpoint, context, error … as JSON.
        live: whether anything more can be expected.
        paused: whether a pause of its queue or type keeps it from starting.
    """

    job_id: str
    name: str
    job_type: str
    description: str
    state: State
    after: JobState
    sentence: Sentence
    step: int
    of: int
    facts: tuple[Fact, ...]
    actions: tuple[Button, ...]
    timeline: TimelineDrawing
    attempts: tuple[AttemptRow, ...]
    events: tuple[EventRow, ...]
    omitted: int
    later: bool
    documents: tuple[JsonText, ...]
    cursor: int
    live: bool
    paused: bool = False

    @property
    def etag(self) -> str:
        """The tag that the API gives this state of the job: scripts ask with it for news."""
        return etag_of(self.job_id, self.cursor)


_UNREADABLE = (TextSpan("the rows of this job cannot be read; see `jobfleet audit verify`"),)


def job_page(view: JobView) -> JobPage:
    """Return the page of this job."""
    request = view.record.request
    newest = view.newest
    around = view.situation()
    return JobPage(
        job_id=newest.job_id,
        name=newest.facts.job_name,
        job_type=newest.facts.job_type,
        description=request.description if request else "",
        state=newest.after.state,
        after=newest.after,
        sentence=job_sentence(newest, around) if newest.is_readable else _UNREADABLE,
        step=around.step,
        of=around.of,
        facts=job_facts(view.record),
        actions=() if is_tombstone(newest) or not newest.is_readable else buttons_for(newest.after),
        paused=view.pause is not None,
        timeline=draw_timeline(span_rows(view.events) if view.events else (), now=view.now),
        attempts=attempt_rows(view.events),
        events=view.rows_after(view.shown[0].sequence - 1),
        omitted=view.shown[0].sequence - 1,
        later=view.shown[-1].sequence < view.record.last_sequence,
        documents=_documents(view),
        cursor=view.record.last_sequence,
        live=not newest.after.state.is_terminal,
    )


def _documents(view: JobView) -> tuple[JsonText, ...]:
    record, request = view.record, view.record.request
    asked = request or JobRequest(type="unknown")
    completed = view.newest.after.state is State.COMPLETED
    found = (
        ("Result", record.result, completed and record.result is not None),
        ("Last response", record.last_response, record.last_response is not None),
        ("Payload", asked.payload, request is not None),
        (
            "Processing parameters",
            asked.processing_parameters,
            asked.processing_parameters is not None,
        ),
        ("Last checkpoint", record.checkpoint, record.checkpoint is not None),
        ("Context", asked.context, bool(asked.context)),
    )
    return tuple(json_text(title, value) for title, value, shown in found if shown)
