"""What the page of one job shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.credentials import without_credentials
from jobfleet_contracts.event import Event, JobState
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_dashboard.views.attempt_row import AttemptRow, attempt_rows
from jobfleet_dashboard.views.event_row import EventRow, history_rows
from jobfleet_dashboard.views.job_actions import JobAction, actions_for
from jobfleet_dashboard.views.job_sentence import job_sentence
from jobfleet_dashboard.views.job_story import JobStory
from jobfleet_dashboard.views.json_text import JsonText, json_text
from jobfleet_dashboard.views.spans import span_rows
from jobfleet_dashboard.views.timeline_svg import TimelineDrawing, draw_timeline
from jobfleet_dashboard.views.words import Sentence
from jobfleet_protocol.tombstone import is_tombstone

Fact = tuple[str, str | datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job for the screen.

    Attributes:
        facts: name and value of what was asked for; only what is set.
        omitted: earlier events that are not shown.
        documents: payload, result, checkpoint, context, error … as JSON.
        live: whether anything more can be expected.
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
    actions: tuple[JobAction, ...]
    timeline: TimelineDrawing
    attempts: tuple[AttemptRow, ...]
    events: tuple[EventRow, ...]
    omitted: int
    documents: tuple[JsonText, ...]
    cursor: int
    live: bool


def job_page(story: JobStory) -> JobPage:
    """Return the page of the job that the story tells of."""
    request = story.record.request
    newest = story.newest
    around = story.circumstances()
    return JobPage(
        job_id=newest.job_id,
        name=newest.facts.job_name,
        job_type=newest.facts.job_type,
        description=request.description,
        state=newest.after.state,
        after=newest.after,
        sentence=job_sentence(newest, around),
        step=around.step,
        of=around.of,
        facts=_facts(request, newest),
        actions=() if is_tombstone(newest) else actions_for(newest.after),
        timeline=draw_timeline(span_rows(story.events), now=story.now),
        attempts=attempt_rows(story.events),
        events=history_rows(story.events),
        omitted=story.omitted,
        documents=_documents(request, story),
        cursor=newest.sequence,
        live=not newest.after.state.is_terminal,
    )


def _facts(request: JobRequest, newest: Event) -> tuple[Fact, ...]:
    facts = newest.facts
    after = newest.after
    found: tuple[tuple[str, str | datetime | None], ...] = (
        ("type", facts.job_type),
        ("queue", facts.queue),
        ("priority", f"{facts.priority} ({_lane(facts.priority)})"),
        ("attempt", f"{after.attempt} of {after.max_attempts}"),
        ("created", facts.created_at),
        ("run at", request.run_at),
        ("due", after.due_at),
        ("lock key", facts.lock_key),
        ("time limit", f"{request.timeout_seconds:g} s" if request.timeout_seconds else None),
        ("incarnation", str(after.incarnation) if after.incarnation > 1 else None),
        ("epoch", str(after.epoch)),
        ("callback", request.callback_url),
        ("input file", request.input_file_path),
    )
    return tuple((name, value) for name, value in found if value is not None)


def _lane(priority: int) -> str:
    return "low" if priority <= 2 else "normal" if priority <= 6 else "high"  # noqa: PLR2004


def _documents(request: JobRequest, story: JobStory) -> tuple[JsonText, ...]:
    record = story.record
    completed = story.newest.after.state is State.COMPLETED
    found = (
        ("Result", record.result, completed and record.result is not None),
        ("Last response", record.last_response, record.last_response is not None),
        ("Payload", without_credentials(request.payload), True),
        (
            "Processing parameters",
            request.processing_parameters,
            request.processing_parameters is not None,
        ),
        ("Last checkpoint", record.checkpoint, record.checkpoint is not None),
        ("Context", request.context, bool(request.context)),
    )
    return tuple(json_text(title, value) for title, value, shown in found if shown)
