"""JobIndex: a copy that never goes back, and decides nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import State
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import (
    a_life,
    after,
    all_open_rows,
    completed,
    open_row,
    queued,
    started,
)


@WITH_FAKES
async def test_an_open_row_comes_back_as_it_was_written(backend: Backend, other: Backend) -> None:
    event = queued(lock_key="a key", priority=8)
    row = open_row(event, due_at=event.occurred_at, lock="job/aa/x", sent=True, published=3)
    await backend.index.open(row)
    assert await all_open_rows(other) == [row]


@WITH_FAKES
async def test_opening_twice_changes_nothing(backend: Backend) -> None:
    row = open_row(queued())
    await backend.index.open(row)
    await backend.index.open(replace(row, state=State.RUNNING, sequence=9))
    assert await all_open_rows(backend) == [row]


@WITH_FAKES
async def test_a_recorded_event_updates_the_hints_of_its_open_row(backend: Backend) -> None:
    first = queued()
    second = started(first)
    await backend.index.open(open_row(first))
    await backend.index.record([first, second])
    (row,) = await all_open_rows(backend)
    assert (row.state, row.sequence, row.lock) == (State.RUNNING, 2, second.after.lock)
    assert row.updated_at == second.occurred_at
    assert row.opened_at == first.occurred_at


async def test_an_older_event_does_not_replace_a_newer_one(backend: Backend) -> None:
    first = queued()
    second = started(first)
    third = after(second, "Deferred")
    await backend.index.open(open_row(first))
    await backend.index.record([third])
    await backend.index.record([first, second])
    await backend.index.flush()
    (row,) = await all_open_rows(backend)
    assert (row.state, row.sequence, row.due_at) == (State.DEFERRED, 3, third.after.due_at)
    (job,) = (await backend.reader.jobs(JobQuery())).items
    assert (job.state, job.sequence) == (State.DEFERRED, 3)


@WITH_FAKES
async def test_hints_of_one_process_do_not_undo_those_of_another(
    backend: Backend, other: Backend
) -> None:
    first = queued()
    await backend.index.open(open_row(first))
    await other.index.record([started(first)])
    await backend.index.record([first])
    (row,) = await all_open_rows(backend)
    assert row.state is State.RUNNING


@WITH_FAKES
async def test_published_is_merged_alone(backend: Backend) -> None:
    first = queued()
    await backend.index.open(open_row(first))
    await backend.index.published(first.job_id, 1, 1)
    await backend.index.record([first, started(first)])
    (row,) = await all_open_rows(backend)
    assert (row.published, row.sequence, row.state) == (1, 2, State.RUNNING)
    await backend.index.published(first.job_id, 1, 2)
    (row,) = await all_open_rows(backend)
    assert (row.published, row.sequence, row.state) == (2, 2, State.RUNNING)


@WITH_FAKES
async def test_closing_removes_the_row_of_that_incarnation_alone(backend: Backend) -> None:
    first = queued()
    await backend.index.open(open_row(first))
    await backend.index.open(open_row(first, incarnation=2))
    await backend.index.close(first.job_id, 1)
    await backend.index.close(first.job_id, 1)
    assert [row.incarnation for row in await all_open_rows(backend)] == [2]


@WITH_FAKES
async def test_a_terminal_event_updates_no_open_row(backend: Backend) -> None:
    first = queued()
    second = started(first)
    await backend.index.open(open_row(first))
    await backend.index.record([first, second])
    await backend.index.record([completed(second)])
    await backend.index.flush()
    (row,) = await all_open_rows(backend)
    assert row.state is State.RUNNING


@WITH_FAKES
async def test_a_late_record_does_not_bring_a_closed_row_back(backend: Backend) -> None:
    life = a_life()
    await backend.index.open(open_row(life[0]))
    backend.index.record(life)
    backend.index.close(life[0].job_id, 1)
    await backend.index.flush()
    await backend.index.record(life[:2])
    await backend.index.published(life[0].job_id, 1, 2)
    assert await all_open_rows(backend) == []


@WITH_FAKES
async def test_flush_waits_for_everything_that_was_queued(backend: Backend, other: Backend) -> None:
    rows = [open_row(queued()) for _ in range(30)]
    for row in rows:
        await backend.index.open(row)
    for row in rows:
        backend.index.published(row.facts.job_id, 1, 1)
    await backend.index.flush()
    assert {row.published for row in await all_open_rows(other)} == {1}


async def test_recording_again_changes_nothing(backend: Backend) -> None:
    life = a_life()
    for _ in range(3):
        await backend.index.record(life)
    assert len((await backend.reader.jobs(JobQuery())).items) == 1
    assert {s: n for s, n in (await backend.reader.counts()).items() if n} == {State.COMPLETED: 1}


async def test_a_row_without_its_event_is_no_job_anywhere(backend: Backend) -> None:
    """Its submitter may have died between row and event: a list would show a job that is none."""
    await backend.index.open(open_row(queued(lock_key="a key")))
    await backend.index.flush()
    assert (await backend.reader.jobs(JobQuery())).items == []
    assert (await backend.reader.jobs(JobQuery(states=frozenset({State.QUEUED})))).items == []
    census = await backend.reader.census()
    assert (census.counts.get(State.QUEUED, 0), dict(census.longest_queued)) == (0, {})
    assert not await backend.reader.lock_waiters("a key")
    assert all(not use.waiters and not use.waiting for use in await backend.reader.lock_uses())


@pytest.mark.parametrize("how", ["recorded", "published"])
async def test_it_is_a_job_once_its_event_is_known_to_stand(backend: Backend, how: str) -> None:
    event = queued(lock_key="a key")
    await backend.index.open(open_row(event))
    if how == "recorded":
        await backend.index.record([event])
    else:
        await backend.index.published(event.job_id, 1, 1)
    await backend.index.flush()
    assert [row.facts.job_id for row in await backend.reader.lock_waiters("a key")] == [
        event.job_id
    ]
    assert "default" in (await backend.reader.census()).longest_queued


@WITH_FAKES
async def test_a_row_without_its_event_is_discarded_as_it_was_read(backend: Backend) -> None:
    row = open_row(queued())
    await backend.index.open(row)
    await backend.index.discard(row)
    assert await all_open_rows(backend) == []
    await backend.index.discard(row)


@WITH_FAKES
async def test_a_row_that_was_opened_again_is_not_discarded_by_who_read_it_before(
    backend: Backend, other: Backend
) -> None:
    row = open_row(queued())
    again = replace(row, opened_at=row.opened_at + timedelta(hours=1))
    await backend.index.open(row)
    await other.index.open(again)
    await backend.index.discard(row)
    assert await all_open_rows(backend) == [again]


@WITH_FAKES
async def test_a_row_whose_event_came_is_not_discarded(backend: Backend) -> None:
    event = queued()
    await backend.index.open(open_row(event))
    await backend.index.record([event])
    await backend.index.discard(open_row(event))
    assert len(await all_open_rows(backend)) == 1
