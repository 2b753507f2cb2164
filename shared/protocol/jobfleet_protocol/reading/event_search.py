"""Finds events of the whole fleet: a page of the timeline, and how far back was looked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, Page
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_contracts.row_test import RowTest
from jobfleet_protocol.reading.job_filter import MAX_SEARCH, MAX_TEXT, check_text, parse_moment
from jobfleet_protocol.reading.masking_turns import in_turns
from jobfleet_protocol.reading.search import narrow_events

LOOKED_AT = 500
"""Events of one look."""
MAX_LOOKS = 4

EventTest = Callable[[Event], bool]


def event_query(
    fields: Mapping[str, str | None], *, limit: int, cursor: str | None = None, prefix: str = ""
) -> EventQuery:
    """Return the question that a filter asks; an absent or ``None`` field lets every event through.

    Args:
        fields: ``q``, ``since`` and ``until``.
        prefix: stands before the names in errors, as ``--``.

    Raises:
        InvalidRequest: names the first field that does not fit, and of a search the word.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        check_text(value, prefix + name, MAX_SEARCH if name == "q" else MAX_TEXT)
    query = EventQuery(
        since=parse_moment(given["since"], f"{prefix}since") if "since" in given else None,
        until=parse_moment(given["until"], f"{prefix}until") if "until" in given else None,
        limit=limit,
        cursor=cursor,
    )
    return narrow_events(query, given["q"], field=f"{prefix}q") if "q" in given else query


async def find_events(
    reader: JobIndexReader, query: EventQuery, *, fits: EventTest | None = None
) -> Page[Event]:
    """Return a page of the events that fit, newest first.

    Messages are compared as they are shown, masked: a search of the stored text would tell a
    credential letter by letter. So they, and what ``fits`` asks, are tested here, over 2,000 events
    at most; the page then says how far back it has looked.

    Args:
        fits: a further condition, on what an event shows.

    Raises:
        InvalidRequest: this list did not return the cursor.
        BackendUnavailable: the index cannot be read.
    """
    stored, messages = _divided(query)
    if not messages and fits is None:
        return await reader.events(query)

    def is_wanted(event: Event) -> bool:
        return _matches(event, messages) and (fits is None or fits(event))

    return await _look(reader, stored, is_wanted)


def belongs(query: EventQuery, event: Event) -> bool:
    """Whether an event that was just seen belongs to what is searched for."""
    stored, messages = _divided(query)
    return (
        stored.fits(event)
        and _matches(event, messages)
        and (query.since is None or event.occurred_at >= query.since)
        and (query.until is None or event.occurred_at < query.until)
    )


def _divided(query: EventQuery) -> tuple[EventQuery, list[RowTest]]:
    """Return what a reader answers, and the tests of messages."""
    messages = [test for test in query.tests if test.field == "error"]
    others = tuple(test for test in query.tests if test.field != "error")
    return replace(query, tests=others), messages


async def _look(reader: JobIndexReader, query: EventQuery, is_wanted: EventTest) -> Page[Event]:
    found: list[Event] = []
    place, back_to = query.cursor, None
    for _ in range(MAX_LOOKS):
        if len(found) == query.limit:
            return Page(found, place)
        page = await reader.events(replace(query, cursor=place, limit=LOOKED_AT))
        wanted = await _places(page.items, is_wanted)
        left = query.limit - len(found)
        if len(wanted) > left:  # the same look once more, up to the last event that is shown
            upto = wanted[left - 1] + 1
            page = await reader.events(replace(query, cursor=place, limit=upto))
            some = await _places(page.items, is_wanted)
            return Page([*found, *(page.items[n] for n in some)], page.next)
        found += [page.items[n] for n in wanted]
        if page.next is None:
            return Page(found)
        if page.items:
            back_to = page.items[-1].occurred_at
        place, back_to = page.next, page.searched_back_to or back_to
    return Page(found, place, back_to)


async def _places(events: Sequence[Event], is_wanted: EventTest) -> list[int]:
    wanted = await in_turns(is_wanted, events, lambda event: event.message)
    return [place for place, each in enumerate(wanted) if each]


def _matches(event: Event, tests: Sequence[RowTest]) -> bool:
    if not tests:
        return True
    message = masked_text(event.message).casefold()  # once, however many words are looked for
    return all((test.value in message) != test.negated for test in tests)
