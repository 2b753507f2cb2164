"""Rule 11: the index is compared with the trail, and the trail asked again before a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, OpenRow, Page
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.ports import AuditTrail, JobIndexReader
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.index_drift import DriftCheck
from tests.protocol.life import NOON, SECOND, Life, ended


class Trail:
    """The rows as they stand when a difference is looked at again."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self.rows = {(e.job_id, e.sequence): e for life in lives for e in life.events}

    async def read(self, job_id: str, sequence: int) -> Event | None:
        return self.rows.get((job_id, sequence))

    async def newest(self, job_id: str) -> Event | None:
        places = [place for place in self.rows if place[0] == job_id]
        return self.rows[max(places)] if places else None


class Index:
    """A timeline and open rows as they are stored, in pages of two."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self.timeline = [event for life in lives for event in life.events]
        self.open = [open_row(life) for life in lives if not life.head.after.state.is_terminal]

    async def events(self, query: EventQuery) -> Page[Event]:
        return _page(self.timeline, query.cursor)

    async def open_rows(self, *, cursor: str | None, limit: int) -> Page[OpenRow]:
        return _page(self.open, cursor)


def _page(items: Sequence[Any], cursor: str | None) -> Page[Any]:
    start = int(cursor or 0)
    return Page(items[start : start + 2], str(start + 2) if start + 2 < len(items) else None)


def open_row(life: Life, incarnation: int | None = None) -> OpenRow:
    after = life.head.after
    return OpenRow(
        life.facts, incarnation or after.incarnation, after.state, after.sequence, NOON, NOON
    )


class Case:
    """Three jobs, an index of them, and what the check says."""

    def __init__(self) -> None:
        self.done, self.runs = ended(State.COMPLETED), Life().queued().started()
        self.waits = Life().queued().started().waiting()
        self.lives = [self.done, self.runs, self.waits]
        self.scanned = [list(life.events) for life in self.lives]
        self.index = Index(self.lives)

    async def differences(self, **options: Any) -> list[tuple[str, int | None, str]]:
        check = DriftCheck(**options)
        for history in self.scanned:
            check.add(history)
        found = await check.compare(
            cast("JobIndexReader", self.index), cast("AuditTrail", Trail(self.lives))
        )
        assert all(violation.rule == 11 for violation in found)
        return [(violation.job_id, violation.sequence, violation.message) for violation in found]


async def test_an_index_that_says_what_the_trail_says_has_no_drift() -> None:
    assert await Case().differences() == []


async def test_an_event_missing_in_the_timeline_is_named() -> None:
    case = Case()
    case.index.timeline.remove(case.done.events[1])
    ((job_id, sequence, message),) = await case.differences()
    assert (job_id, sequence) == (case.done.facts.job_id, 2)
    assert "not in the timeline" in message


async def test_an_event_that_only_the_timeline_has_is_named() -> None:
    case = Case()
    orphan = replace(case.done.events[1], event_id=new_id())
    case.index.timeline.append(orphan)
    ((job_id, sequence, message),) = await case.differences()
    assert (job_id, sequence) == (case.done.facts.job_id, 2)
    assert "not in the trail" in message


async def test_an_event_twice_in_the_timeline_is_named() -> None:
    case = Case()
    case.index.timeline.append(case.done.events[1])
    ((_, sequence, message),) = await case.differences()
    assert sequence == 2
    assert "more than once" in message


async def test_a_missing_open_row_is_named() -> None:
    case = Case()
    del case.index.open[0]
    ((job_id, _, message),) = await case.differences()
    assert job_id == case.runs.facts.job_id
    assert "no open row though the job is running" in message


async def test_an_open_row_of_an_ended_job_is_named() -> None:
    case = Case()
    case.index.open.append(open_row(case.done))
    ((job_id, _, message),) = await case.differences()
    assert job_id == case.done.facts.job_id
    assert "the trail says completed" in message


async def test_an_open_row_of_an_older_incarnation_is_named() -> None:
    case = Case()
    case.index.open.append(open_row(case.runs, 2))
    ((job_id, _, _),) = await case.differences()
    assert job_id == case.runs.facts.job_id


async def test_open_rows_of_incarnations_not_yet_opened_are_drift_after_a_while() -> None:
    case = Case()
    case.index.open.append(open_row(case.done, 2))
    case.index.open.append(open_row(Life().queued()))
    assert await case.differences(begun_before=NOON) == []
    found = await case.differences(begun_before=NOON + SECOND)
    assert sorted(message for _, _, message in found) == [
        "open row of incarnation 1, but the trail has no event",
        "open row of incarnation 2, but the trail says completed",
    ]


async def test_events_written_since_the_scan_are_no_drift() -> None:
    case = Case()
    case.runs.step().completed()
    late = Life().queued()
    case.lives.append(late)
    case.index = Index(case.lives)
    assert await case.differences() == []


async def test_events_too_young_to_be_copied_are_not_missed() -> None:
    case = Case()
    case.index.timeline.remove(case.done.events[2])
    youngest = case.done.events[2].occurred_at
    assert await case.differences(settled_before=youngest) == []
    assert len(await case.differences(settled_before=youngest + timedelta(seconds=1))) == 1


async def test_a_lost_index_is_counted_but_not_kept_whole() -> None:
    case = Case()
    case.index.timeline.clear()
    check = DriftCheck(keep=2)
    for history in case.scanned:
        check.add(history)
    found = await check.compare(
        cast("JobIndexReader", case.index), cast("AuditTrail", Trail(case.lives))
    )
    assert (len(found), check.differences.total) == (2, 8)
