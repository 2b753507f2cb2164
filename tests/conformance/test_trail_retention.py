"""TrailRetention: a whole history gives way to one row, and to nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, IndexedEvent, JobQuery
from jobfleet_contracts.trail_retention import TrailRetention
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import BEGIN, a_life, after, completed, queued, started, write

LATER = BEGIN + timedelta(days=1)


def retention_of(backend: Backend) -> TrailRetention:
    assert backend.retention is not None
    return backend.retention


def tombstone(last: Event) -> Event:
    return tombstone_of(last, last, digest="d", message="history removed after 1 days")


def place(event: Event) -> IndexedEvent:
    return IndexedEvent(event.job_id, event.sequence, event.occurred_at)


@WITH_FAKES
async def test_one_row_stays_of_a_history_and_a_second_event_1_is_refused(
    backend: Backend,
) -> None:
    life, other = a_life(), a_life()
    await write(backend, *life)
    await write(backend, *other)
    stone = tombstone(life[-1])
    await retention_of(backend).forget(stone, last=4)
    assert await backend.trail.history(stone.job_id) == [stone]
    assert await backend.trail.newest(stone.job_id) == stone
    assert await backend.trail.history(other[0].job_id) == other
    with pytest.raises(SequenceTaken):
        await backend.trail.insert([life[0]])


async def test_neither_seal_nor_tombstone_is_counted_as_an_ending(backend: Backend) -> None:
    life = a_life()
    await write(backend, *life)
    before = await backend.reader.ended(since=BEGIN - timedelta(days=1), step="hour")
    stone = tombstone(life[-1])
    await backend.trail.insert([seal_of(stone, head=life[-1])])
    await retention_of(backend).forget(stone, last=5)
    await backend.index.flush()
    assert await backend.reader.ended(since=BEGIN - timedelta(days=1), step="hour") == before
    assert [one.jobs for one in before] == [1]


@WITH_FAKES
async def test_a_job_that_has_gone_on_is_kept_whole(backend: Backend) -> None:
    life = a_life()
    await write(backend, *life)
    stone = tombstone(life[-2])
    with pytest.raises(SequenceTaken):
        await retention_of(backend).forget(stone, last=3)
    assert await backend.trail.history(stone.job_id) == life


@WITH_FAKES
async def test_a_history_of_hundreds_of_events_goes_whole(backend: Backend) -> None:
    life = [queued()]
    life.append(started(life[0]))
    for number in range(1, 220):
        life.append(after(life[-1], f"Step {number}", worker_id="w1"))
    life.append(completed(life[-1]))
    for begin in range(0, len(life), 100):
        await backend.trail.insert(life[begin : begin + 100])
    stone = tombstone(life[-1])
    await retention_of(backend).forget(stone, last=len(life))
    assert await backend.trail.history(stone.job_id) == [stone]


@WITH_FAKES
async def test_jobs_that_ended_before_a_moment_are_found_page_by_page(backend: Backend) -> None:
    ended = [a_life() for _ in range(5)]
    for life in [*ended, [queued()], a_life(begin=LATER)]:
        await write(backend, *life)
    found: set[str] = set()
    cursor = None
    for _ in range(6):
        page = await retention_of(backend).ended_before(LATER, cursor=cursor, limit=2)
        assert len(page.items) <= 2
        found |= {event.job_id for event in page.items}
        cursor = page.next
        if cursor is None:
            break
    assert found == {life[0].job_id for life in ended}
    assert cursor is None


async def test_an_unlisted_job_is_in_no_list_any_more(backend: Backend) -> None:
    life, other = a_life(), a_life()
    await write(backend, *life)
    await write(backend, *other)
    retention = retention_of(backend)
    places = [place(event) for event in life]
    await retention.unlist(places[:-1])
    listed = await retention.ended_before(LATER)
    assert places[-1] in listed.items
    await retention.forget(tombstone(life[-1]), last=4)
    await retention.unlist(places)
    await retention.unlist(places)
    jobs = await backend.reader.jobs(JobQuery())
    assert [row.facts.job_id for row in jobs.items] == [other[0].job_id]
    assert [e.job_id for e in (await retention.ended_before(LATER)).items] == [other[0].job_id]
    shown = (await backend.reader.events(EventQuery())).items
    assert [event for event in shown if event.job_id == other[0].job_id] == other[::-1]


async def test_erased_rows_keep_their_hashes_and_lose_their_values(backend: Backend) -> None:
    life, other = a_life(), a_life()
    await write(backend, *life)
    await write(backend, *other)
    retention = retention_of(backend)
    await retention.check_rights()
    last = len(life) - 1
    for _ in range(2):
        await retention.erase(life[0].job_id, last=last)
        found = await backend.trail.history(life[0].job_id)
        assert list(found) == [event.without_values() for event in life[:last]] + life[last:]
        assert [event.hash for event in found] == [event.hash for event in life]
        assert [event.is_erased for event in found] == [True] * last + [False]
    assert list(await backend.trail.history(other[0].job_id)) == other
