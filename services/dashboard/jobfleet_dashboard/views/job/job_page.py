"""What the page of one job shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobfleet_contracts.event import JobState
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_dashboard.views.event_row import EventRow, history_rows
from jobfleet_dashboard.views.job.attempt_row import AttemptRow, attempt_rows
from jobfleet_dashboard.views.job.history import HistoryItem, history_items
from jobfleet_dashboard.views.job.job_actions import Button, buttons_for
from jobfleet_dashboard.views.job.job_facts import Fact, job_facts
from jobfleet_dashboard.views.job.job_sentence import job_sentence
from jobfleet_dashboard.views.job.job_view import JobView
from jobfleet_dashboard.views.job.spans import span_rows
from jobfleet_dashboard.views.job.timeline_svg import TimelineDrawing, draw_timelines
from jobfleet_dashboard.views.json_text import JsonText, json_text
from jobfleet_dashboard.views.text_span import Sentence, TextSpan
from jobfleet_protocol.reading.job_record import etag_of

SHOWN_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job for the screen.

    Attributes:
        facts: what was asked for and what belongs to it; only what is set.
        attempts: the newest 100; ``attempts_omitted`` of those at hand are not shown.
        history: lines of the history, oldest first; empty on a page of the earlier history.
        earlier: such a page: 250 single events, oldest first.
        omitted: how many earlier events are not shown.
        documents: payload, result, checkpoint, context, error … as JSON.
        is_whole: whether all lifecycle events are at hand; else the oldest attempts are missing.
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
    timelines: tuple[TimelineDrawing, ...]
    attempts: tuple[AttemptRow, ...]
    attempts_omitted: int
    history: tuple[HistoryItem, ...]
    earlier: tuple[EventRow, ...]
    omitted: int
    is_whole: bool
    documents: tuple[JsonText, ...]
    cursor: int
    live: bool
    paused: bool = False

    @property
    def is_group(self) -> bool:
        """Whether it waits for members; then it runs nothing, and nothing of runs is shown."""
        return self.job_type == GROUP_TYPE

    @property
    def etag(self) -> str:
        """The tag that the API gives this state of the job: scripts ask with it for news."""
        return etag_of(self.job_id, self.cursor)


_UNREADABLE = (TextSpan("the rows of this job cannot be read; see `jobfleet audit verify`"),)


def job_page(view: JobView, *, trace_url: str | None = None) -> JobPage:
    """Return the page of this job; ``trace_url`` leads to its trace."""
    request = view.record.request
    newest = view.newest
    around = view.situation()
    attempts = attempt_rows(view.lifecycle)
    earlier = history_rows(view.earlier) if view.earlier else ()
    history = () if earlier else history_items(view.record)
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
        facts=job_facts(view.record, trace_url),
        actions=buttons_for(newest),
        paused=view.pause is not None,
        timelines=draw_timelines(span_rows(view.lifecycle) if view.lifecycle else (), now=view.now),
        attempts=attempts[-SHOWN_ATTEMPTS:],
        attempts_omitted=max(0, len(attempts) - SHOWN_ATTEMPTS),
        history=history,
        earlier=earlier,
        omitted=_oldest_of(earlier or history) - 1,
        is_whole=view.record.lifecycle_older is None,
        documents=_documents(view),
        cursor=view.record.last_sequence,
        live=not newest.after.state.is_terminal,
    )


def _oldest_of(items: Sequence[HistoryItem]) -> int:
    """Return the sequence of the first line, which is never a fold."""
    first = next(iter(items), None)
    return first.sequence if isinstance(first, EventRow) else 1


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
