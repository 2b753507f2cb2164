"""JobIndexReader: pages, filters, live cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.state import State
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import (
    BEGIN,
    a_life,
    after,
    all_open_rows,
    open_job,
    open_row,
    queued,
    started,
    write,
    write_dead,
)


async def _events(backend: Backend, **fields: object) -> list[Event]:
    """All events of a filter, page by page."""
    found: list[Event] = []
    cursor = None
    while True:
        query = EventQuery(cursor=cursor, **fields)  # type: ignore[arg-type]
        page = await backend.reader.events(query)
        assert len(page.items) <= query.limit
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


async def _jobs(backend: Backend, **fields: object) -> list[str]:
    """Job ids of a filter, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        query = JobQuery(cursor=cursor, **{"limit": 2} | fields)  # type: ignore[arg-type]
        page = await backend.reader.jobs(query)
        assert len(page.items) <= query.limit
        found += [row.facts.job_id for row in page.items]
        cursor = page.next
        if cursor is None:
            return found


async def test_the_timeline_shows_the_newest_events_first(backend: Backend) -> None:
    lives = [a_life(at=n * 10) for n in range(5)]
    for life in lives:
        await write(backend, *life)
    newest_first = [event for life in lives for event in life][::-1]
    assert list((await backend.reader.events(EventQuery(limit=7))).items) == newest_first[:7]
    assert await _events(backend, limit=3) == newest_first


async def test_large_data_are_left_out_of_the_timeline(backend: Backend) -> None:
    first = queued()
    small = after(started(first), "Step 1", worker_id="w1", data={"step": 1})
    large = after(small, "Completed", worker_id="w1", data={"result": "x" * 20_000})
    await write(backend, first, started(first), small, large)
    newest, before, *_ = await _events(backend)
    assert newest.data.keys() == {"omittedCharacters"}
    assert (newest.event_id, before.data) == (large.event_id, {"step": 1})
    assert (await backend.trail.newest(first.job_id)) == large


async def test_pages_hold_their_place_while_events_are_added(backend: Backend) -> None:
    old = [queued(at=n) for n in range(6)]
    await write(backend, *old)
    page = await backend.reader.events(EventQuery(limit=3))
    await write(backend, *[queued(at=10 + n) for n in range(4)])
    rest = await backend.reader.events(EventQuery(limit=10, cursor=page.next))
    assert [*page.items, *rest.items] == old[::-1]


@pytest.mark.parametrize(
    "name",
    [
        "O'Brien's",
        "''",
        "100 % + 1 & 2 = 3?",
        "#1 @key or 1 eq 1",
        "S\u00f6hne \u65e5\u672c",
        "a\\b/c",
    ],
)
async def test_a_name_is_found_whatever_it_is_made_of(backend: Backend, name: str) -> None:
    named = queued(job_name=name, lock_key=name)
    await write(backend, named, queued(at=1, job_name=f"{name}x", lock_key=f"{name}x"))
    assert await _events(backend, job_name=name) == [named]
    assert await _jobs(backend, lock_key=name) == [named.job_id]


async def test_events_are_found_by_status_type_name_and_time(backend: Backend) -> None:
    one, two = a_life(type="a.b", job_name="first job"), a_life(at=100, job_name="second job")
    await write(backend, *one, *two)
    assert await _events(backend, statuses=frozenset({"Started"})) == [two[1], one[1]]
    assert await _events(backend, statuses=frozenset({"Step 1"})) == [two[2], one[2]]
    assert await _events(backend, job_type="a.b") == one[::-1]
    completed = frozenset({"Completed"})
    assert await _events(backend, job_type="A.b", statuses=completed) == [one[3]]
    assert await _events(backend, job_name="second job") == two[::-1]
    since, until = two[0].occurred_at, two[2].occurred_at
    assert await _events(backend, since=since) == two[::-1]
    assert await _events(backend, since=since, until=until) == [two[1], two[0]]
    assert await _events(backend, until=BEGIN) == []


async def test_a_live_cursor_gives_what_came_after_it(backend: Backend, other: Backend) -> None:
    await write(backend, queued(), queued())
    (newest,) = await other.reader.since(None)
    life = a_life(begin=datetime.now(UTC))
    await write(backend, *life)
    entries = await other.reader.since(newest.cursor)
    fresh = [entry.event for entry in entries if entry.event.job_id == life[0].job_id]
    assert fresh == life
    assert await _after(other, entries[-1].cursor) == []


async def _after(backend: Backend, cursor: str) -> list[Event]:
    return [entry.event for entry in await backend.reader.since(cursor)]


async def test_a_live_cursor_pages_without_loss(backend: Backend) -> None:
    await write(backend, queued())
    (newest,) = await backend.reader.since(None)
    added = [queued(at=n / 10, begin=datetime.now(UTC)) for n in range(7)]
    await write(backend, *added)
    seen: dict[str, Event] = {}
    cursor = newest.cursor
    while entries := await backend.reader.since(cursor, limit=2):
        seen |= {entry.event.event_id: entry.event for entry in entries}
        if cursor == entries[-1].cursor:
            break
        cursor = entries[-1].cursor
    assert [seen.get(event.event_id) for event in added] == added


async def test_an_empty_timeline_has_no_newest_event(backend: Backend) -> None:
    assert list(await backend.reader.since(None)) == []
    assert list((await backend.reader.events(EventQuery())).items) == []


async def test_a_cursor_that_nobody_gave_is_refused(backend: Backend) -> None:
    for call in (
        backend.reader.events(EventQuery(cursor="<x>")),
        backend.reader.jobs(JobQuery(cursor="<x>")),
        backend.reader.since("<x>"),
    ):
        with pytest.raises(InvalidRequest):
            await call


@WITH_FAKES
async def test_a_cursor_of_open_rows_that_nobody_gave_is_refused(backend: Backend) -> None:
    with pytest.raises(InvalidRequest):
        await backend.reader.open_rows(cursor="<x>")


async def test_a_job_row_tells_the_step_and_of_how_many(backend: Backend) -> None:
    first = queued()
    second = started(first)
    third = after(second, "Step 3", worker_id="w1", message="a third", data={"step": 3, "of": 8})
    await write(backend, first, second, third)
    (row,) = (await backend.reader.jobs(JobQuery())).items
    assert (row.status, row.step, row.steps) == ("Step 3", 3, 8)
    await write(backend, after(third, "Step 4", worker_id="w1", data={"step": 4, "of": None}))
    (row,) = (await backend.reader.jobs(JobQuery())).items
    assert (row.step, row.steps) == (4, None)


async def test_jobs_are_listed_last_changed_first_with_their_state(backend: Backend) -> None:
    old, new = a_life(lock_key="k"), [queued(at=50)]
    await write(backend, *new)
    await write(backend, *old)
    first, second = (await backend.reader.jobs(JobQuery())).items
    assert (first.facts, first.state, first.status) == (new[0].facts, State.QUEUED, "Queued")
    last = old[-1]
    assert (second.facts, second.state, second.sequence) == (last.facts, State.COMPLETED, 4)
    assert (second.attempt, second.max_attempts, second.epoch) == (1, 3, 1)
    assert (second.worker_id, second.updated_at) == ("w1", last.occurred_at)


async def test_jobs_are_found_by_state(backend: Backend) -> None:
    waiting = [queued(at=n) for n in range(5)]
    await write(backend, *waiting)
    dead = [await write_dead(backend, at=20 + n) for n in range(3)]
    done = a_life(at=40)
    await write(backend, *done)
    failed = [event.job_id for event in dead][::-1]
    assert await _jobs(backend, states=frozenset({State.FAILED})) == failed
    ended = frozenset({State.FAILED, State.COMPLETED, State.TIMED_OUT})
    assert await _jobs(backend, states=ended) == [done[0].job_id, *failed]
    assert len(await _jobs(backend)) == 9


async def test_jobs_are_found_by_type_queue_and_lock_key(backend: Backend) -> None:
    one = queued(type="mail.send", queue="mail", lock_key="customer 1")
    two = queued(at=1, type="mail.send", lock_key="customer 2")
    three = after(queued(at=2, queue="mail"), "Deferred")
    await backend.index.open(open_row(three))
    await write(backend, one, two, three)
    assert await _jobs(backend, job_type="mail.send") == [two.job_id, one.job_id]
    assert await _jobs(backend, queue="mail") == [three.job_id, one.job_id]
    assert await _jobs(backend, job_type="mail.send", queue="mail") == [one.job_id]
    assert await _jobs(backend, lock_key="customer 2") == [two.job_id]
    deferred = frozenset({State.DEFERRED})
    assert await _jobs(backend, queue="mail", states=deferred) == [three.job_id]
    assert await _jobs(backend, job_type="mail.send", states=deferred) == []


async def test_jobs_are_found_by_text(backend: Backend) -> None:
    one = queued(job_name="Übersicht März", lock_key="Kunde 100%")
    two = queued(at=1, job_name="monthly_report")
    await write(backend, one, two)
    assert await _jobs(backend, text="übersicht") == [one.job_id]
    assert await _jobs(backend, text="KUNDE 100%") == [one.job_id]
    assert await _jobs(backend, text="Y_REP") == [two.job_id]
    assert await _jobs(backend, text="%") == [one.job_id]
    assert await _jobs(backend, text=two.job_id) == [two.job_id]
    assert await _jobs(backend, text=two.job_id.upper()) == [two.job_id]
    assert await _jobs(backend, text=two.job_id, states=frozenset({State.FAILED})) == []
    assert await _jobs(backend, text="nothing like it") == []


async def test_jobs_are_found_by_the_short_id_that_pages_show(backend: Backend) -> None:
    one, two = queued(job_name="short"), queued(at=1)
    await write(backend, one, two)
    tail = two.job_id[-8:]
    assert await _jobs(backend, text=tail) == [two.job_id]
    assert await _jobs(backend, text=tail.upper()) == [two.job_id]
    assert await _jobs(backend, text=tail, states=frozenset({State.FAILED})) == []
    assert await _jobs(backend, text=tail[1:]) == []


async def test_jobs_are_found_by_the_time_of_their_last_change(backend: Backend) -> None:
    events = [queued(at=n * 10) for n in range(4)]
    await write(backend, *events)
    since, until = BEGIN + timedelta(seconds=10), BEGIN + timedelta(seconds=30)
    found = await _jobs(backend, since=since, until=until)
    assert found == [events[2].job_id, events[1].job_id]


async def test_counts_follow_each_change_of_state(backend: Backend) -> None:
    first = queued()
    await write(backend, first)
    await write(backend, queued(), *a_life())
    await write_dead(backend)
    await write(backend, started(first))
    counts = await backend.reader.counts()
    assert counts.get(State.QUEUED, 0) == 1
    assert counts.get(State.RUNNING, 0) == 1
    assert counts.get(State.COMPLETED, 0) == 1
    assert counts.get(State.FAILED, 0) == 1


@WITH_FAKES
async def test_open_rows_are_found_by_state_and_paged(backend: Backend) -> None:
    rows = [open_row(queued()) for _ in range(5)]
    rows += [open_row(queued(), state=State.DEFERRED) for _ in range(3)]
    rows += [open_row(queued(), state=State.WAITING)]
    for row in rows:
        await backend.index.open(row)
    two = frozenset({State.DEFERRED, State.WAITING})
    assert sorted(map(_key, await all_open_rows(backend, two))) == sorted(map(_key, rows[5:]))
    assert sorted(map(_key, await all_open_rows(backend))) == sorted(map(_key, rows))
    assert await all_open_rows(backend, frozenset()) == []


def _key(row: object) -> str:
    return str(row)


@WITH_FAKES
async def test_waiters_of_a_lock_key_come_longest_waiting_first(backend: Backend) -> None:
    late, early = queued(at=9, lock_key="k"), queued(at=1, lock_key="k")
    holder = queued(at=0, lock_key="k")
    for event in (late, early, queued(lock_key="another"), queued()):
        await backend.index.open(open_job(event))
    await backend.index.open(open_job(holder, state=State.RUNNING))
    waiters = await backend.reader.lock_waiters("k")
    assert [row.facts.job_id for row in waiters] == [early.job_id, late.job_id]
    assert len(await backend.reader.lock_waiters("k", limit=1)) == 1
    assert list(await backend.reader.lock_waiters("nobody's")) == []


@WITH_FAKES
async def test_jobs_of_a_lock_key_are_told_apart_by_their_number_of_slots(backend: Backend) -> None:
    holder, waiter = (queued(at=n, lock_key="k", lock_slots=3) for n in (0, 5))
    apart, other = queued(at=6, lock_key="k"), queued(lock_key="other", lock_slots=2)
    await backend.index.open(open_job(holder, state=State.RUNNING))
    for event in (waiter, apart, other):
        await backend.index.open(open_job(event))
    assert await backend.reader.lock_slots("k") == {1, 3}
    assert await backend.reader.lock_slots("nobody's") == frozenset()
    found = await backend.reader.lock_waiters("k", slots=3)
    assert [row.facts for row in found] == [waiter.facts]
    assert [row.facts for row in await backend.reader.lock_waiters("k")] == [apart.facts]


@WITH_FAKES
async def test_a_row_without_its_event_is_open_and_concerns_no_lock_key(backend: Backend) -> None:
    """Its writer may have died between row and event."""
    event = queued(lock_key="k")
    await backend.index.open(open_row(event))
    assert [row.facts for row in await all_open_rows(backend)] == [event.facts]
    assert not await backend.reader.lock_waiters("k")
    assert await backend.reader.lock_slots("k") == frozenset()
    await backend.index.published(event.job_id, 1, 1)
    assert [row.facts for row in await backend.reader.lock_waiters("k")] == [event.facts]
    assert await backend.reader.lock_slots("k") == {1}
