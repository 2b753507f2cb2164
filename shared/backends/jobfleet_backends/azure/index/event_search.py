"""Events of all jobs, found in the timeline."""

from __future__ import annotations

from collections.abc import Iterable

from jobfleet_backends.azure.index.index_rows import key_time
from jobfleet_backends.azure.index.timeline import Span, Timeline, span_of
from jobfleet_backends.azure.rows import entity_to_event_or_stand_in
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, Page
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import STEP

MAX_ROUNDS = 5
_ROWS_PER_ROUND = 400
_LAST = "~"
"""Comes behind every character that a type can hold."""


class EventSearch:
    """One page of the timeline, newest first; the cursor is a row key.

    The server compares types, states, names and queues. It cannot compare without regard to
    case, or parts of texts. That is tested here, over 2,000 events at most; the page then says
    how far back it has looked.
    """

    def __init__(self, *, timeline: Timeline) -> None:
        self._timeline = timeline

    async def page(self, query: EventQuery) -> Page[Event]:
        """Return the page."""
        if query.nothing:
            return Page([])
        span = narrowed(span_of(query.since, query.until, query.cursor), query)
        if query.tests:
            return await self._tested(span, query)
        stretch = await self._timeline.newest("index.events", span, query.limit)
        events = [entity_to_event_or_stand_in(entity) for entity in stretch.entities]
        cut_short = stretch.end is not None and len(events) < query.limit
        back_to = key_time(stretch.end) if stretch.end is not None and cut_short else None
        return Page(events, stretch.end, back_to)

    async def _tested(self, span: Span, query: EventQuery) -> Page[Event]:
        found: list[Event] = []
        last = span.after
        for _ in range(MAX_ROUNDS):
            stretch = await self._timeline.newest("index.events", span, _ROWS_PER_ROUND)
            for entity in stretch.entities:
                event = entity_to_event_or_stand_in(entity)
                if not query.fits(event):
                    continue
                if len(found) == query.limit:
                    return Page(found, last)
                found.append(event)
                last = str(entity["RowKey"])  # of an event that cannot be read only this is known
            if stretch.end is None:
                return Page(found)
            span = Span(stretch.end, span.before, span.where, span.values)
        return Page(found, span.after, key_time(span.after))


def narrowed(span: Span, query: EventQuery) -> Span:
    """Return the span with all that the server can compare."""
    if query.statuses:
        span = _one_of(span, "Status", query.statuses)
    if query.states:
        span = _one_of(span, "State", {state.value for state in query.states})
    if query.job_type is not None:
        span = span.that("TypeKey eq @type", type=query.job_type.casefold())
    if query.job_name is not None:
        span = span.that("JobName eq @name", name=query.job_name)
    span = of_type_pattern(span, query.tests)
    for test in query.tests:
        if test.field == "queue" and not test.negated:
            return span.that("Queue eq @queue", queue=test.value)
    return span


def of_type_pattern(span: Span, tests: Iterable[RowTest]) -> Span:
    """Return the span narrowed to types that begin as a pattern does."""
    for test in tests:
        if test.field == "type" and not test.negated and test.value.find("*") > 0:
            begin = test.value.partition("*")[0]
            return span.that(
                "TypeKey ge @begin and TypeKey lt @end", begin=begin, end=f"{begin}{_LAST}"
            )
    return span


def _one_of(span: Span, column: str, values: Iterable[str]) -> Span:
    names = {f"{column.lower()}{n}": value for n, value in enumerate(sorted(values))}
    conditions = [
        "(Status ge 'Step ' and Status lt 'Step!')" if value == STEP else f"{column} eq @{name}"
        for name, value in names.items()
    ]
    return span.that(f"( {' or '.join(conditions)} )", **names)  # names stand between blanks
