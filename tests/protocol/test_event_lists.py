"""Events of the fleet: what a list finds by masked messages, how far back, and as a file."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_protocol.reading import event_search
from jobfleet_protocol.reading.event_search import belongs, event_query, find_events
from jobfleet_protocol.reading.list_export import EVENTS
from jobfleet_protocol.reading.search import narrow_events
from tests.protocol.bench import Bench

FAILURES = 4


async def failures(bench: Bench) -> list[Event]:
    """Jobs that failed one after the other; newest events first."""
    for number in range(FAILURES):
        claimed = await bench.claimed(await bench.submit(job_name=f"=job {number}"))
        message = f"quota {number} of postgres://reader:hunter2@db/crm"
        await bench.end(claimed, "Failed", message=message)
        bench.clock.advance(1)
    await bench.real.index.flush()
    found = [event async for event in EVENTS.rows(bench.real.reader, EventQuery())]
    assert len(found) == 3 * FAILURES
    return found


async def _pages(bench: Bench, query: EventQuery) -> list[int]:
    """Return the sizes of all pages; together they hold what was asked for, once."""
    found: list[Event] = []
    sizes = []
    while True:
        page = await find_events(bench.real.reader, query)
        found += page.items
        sizes.append(len(page.items))
        if page.next is None:
            assert len({event.event_id for event in found}) == len(found)
            return sizes
        query = replace(query, cursor=page.next)


async def test_messages_are_searched_as_they_are_shown_page_by_page(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_search, "LOOKED_AT", 5)
    events = await failures(bench)
    for search, limit, sizes in (
        ("error:quota", 100, [4]),
        ("error:quota", 2, [2, 2]),
        ("error:quota", 3, [3, 1]),
        ("error:QUOTA status:failed", 1, [1, 1, 1, 1]),
        ("error:hunter2", 9, [0]),
        ("-error:quota", 100, [8]),
    ):
        assert await _pages(bench, narrow_events(EventQuery(limit=limit), search)) == sizes, search
    only = await find_events(bench.real.reader, EventQuery(), fits=lambda e: e.sequence == 1)
    assert [event.sequence for event in only.items] == [1] * FAILURES
    monkeypatch.setattr(event_search, "MAX_LOOKS", 1)
    page = await find_events(bench.real.reader, EventQuery(limit=9), fits=lambda _: False)
    assert (list(page.items), page.searched_back_to) == ([], events[4].occurred_at)


async def test_an_event_that_was_just_seen_belongs_by_the_same_rules(bench: Bench) -> None:
    newest, *_, oldest = await failures(bench)
    seconds = timedelta(seconds=1)
    for query, fits in (
        (narrow_events(EventQuery(), "error:quota"), (True, False)),
        (narrow_events(EventQuery(), "-error:quota"), (False, True)),
        (narrow_events(EventQuery(), "error:hunter2"), (False, False)),
        (EventQuery(since=newest.occurred_at), (True, False)),
        (EventQuery(until=oldest.occurred_at + seconds / 2), (False, True)),
        (narrow_events(EventQuery(), "status:queued"), (False, True)),
    ):
        assert (belongs(query, newest), belongs(query, oldest)) == fits


def test_fields_of_a_filter_become_a_question_and_a_bad_one_is_named() -> None:
    assert event_query({"q": None, "since": None}, limit=7) == EventQuery(limit=7)
    asked = {"q": "status:failed", "since": "2026-03-01T12:00:00Z", "until": "2026-03-02T12:00:00Z"}
    query = event_query(asked, limit=7, cursor="c")
    assert query.since is not None
    assert query.until == query.since + timedelta(days=1)
    assert (query.cursor, query.statuses) == ("c", frozenset({"Failed"}))
    for field, value in (("q", "x" * 10_000), ("since", "yesterday"), ("until", "\0")):
        with pytest.raises(InvalidRequest) as refused:
            event_query({field: value}, limit=1, prefix="--")
        assert str(refused.value).startswith(f"--{field}")


async def test_a_file_of_events_holds_all_of_them_masked_and_no_formula(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_protocol.reading.list_export.PAGE", 5)
    events = await failures(bench)
    table = [line async for line in EVENTS.csv_lines(bench.real.reader, EventQuery())]
    assert table[0].decode().strip().split(",") == [*EVENTS.columns]
    assert len(table) == 1 + len(events)
    assert all(b",'=job " in line for line in table[1:])
    lines = [line async for line in EVENTS.json_lines(bench.real.reader, EventQuery(limit=1))]
    assert [orjson.loads(line)["eventId"] for line in lines] == [e.event_id for e in events]
    assert b"hunter2" not in b"".join(table + lines)
