"""JobIndexReader: what ended when, who waits longest, which lock keys are in use."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.state import State
from tests.conformance.jobs import (
    BEGIN,
    a_life,
    after,
    completed,
    open_job,
    queued,
    started,
    write,
    write_dead,
)

NOON = BEGIN.replace(minute=0, second=0) - timedelta(hours=2)


def _ended_at(moment: datetime, *, duration_ms: int | None = 100) -> list[Event]:
    first = queued(begin=moment - timedelta(seconds=2))
    return [first, started(first), replace(completed(started(first)), duration_ms=duration_ms)]


async def _ended(
    backend: Backend, step: Literal["minute", "hour"], since: datetime
) -> list[tuple[datetime, State, int, int, int]]:
    found = await backend.reader.ended(since=since, step=step)
    return [(one.start, one.state, one.jobs, one.timed, one.duration_ms) for one in found]


async def test_endings_are_counted_by_minute_and_by_hour(backend: Backend) -> None:
    minute = timedelta(minutes=1)
    for moment in (NOON, NOON + minute, NOON + minute * 1.5, NOON + minute * 70):
        await write(backend, *_ended_at(moment))
    done = State.COMPLETED
    assert await _ended(backend, "minute", NOON) == [
        (NOON, done, 1, 1, 100),
        (NOON + minute, done, 2, 2, 200),
        (NOON + minute * 70, done, 1, 1, 100),
    ]
    hours = [(NOON, done, 3, 3, 300), (NOON + minute * 60, done, 1, 1, 100)]
    assert await _ended(backend, "hour", NOON) == hours


async def test_counts_begin_with_the_step_in_which_the_moment_lies(backend: Backend) -> None:
    for minutes in (0, 5, 65):
        await write(backend, *_ended_at(NOON + timedelta(minutes=minutes)))
    since = NOON + timedelta(minutes=5, seconds=40)
    assert [one[2] for one in await _ended(backend, "minute", since)] == [1, 1]
    assert [one[2] for one in await _ended(backend, "hour", since)] == [2, 1]


async def test_an_ending_without_an_attempt_has_no_part_in_durations(backend: Backend) -> None:
    await write(backend, *_ended_at(NOON))
    await write(backend, *_ended_at(NOON, duration_ms=None))
    ((_, _, jobs, timed, duration_ms),) = await _ended(backend, "hour", NOON)
    assert (jobs, timed, duration_ms) == (2, 1, 100)


async def test_an_ending_that_is_written_to_the_index_again_counts_once(backend: Backend) -> None:
    life = _ended_at(NOON)
    await write(backend, *life)
    await backend.index.record(life)
    assert [one[2] for one in await _ended(backend, "hour", NOON)] == [1]


async def test_an_index_that_is_written_anew_counts_each_ending_once(
    backend: Backend, other: Backend
) -> None:
    lives = [_ended_at(NOON + timedelta(minutes=minutes)) for minutes in (0, 1, 60)]
    for life in lives:
        await write(backend, *life)
    await other.index.begin_rebuild(now=NOON + timedelta(minutes=70))
    for life in lives:
        await other.index.record(life)
    assert [one[2] for one in await _ended(backend, "hour", NOON)] == [2, 1]


async def test_endings_of_all_processes_are_added_up(backend: Backend, other: Backend) -> None:
    for writer in (backend, other, other):
        await write(writer, *_ended_at(NOON))
    assert [one[2:] for one in await _ended(backend, "minute", NOON)] == [(3, 3, 300)]


async def test_a_census_tells_who_has_been_queued_longest_in_each_queue(backend: Backend) -> None:
    late, early = queued(at=9), queued(at=1)
    mail = queued(at=5, queue="mail")
    for event in (late, early, mail):
        await backend.index.open(open_job(event))
    await backend.index.open(open_job(queued(at=0, queue="mail"), state=State.DEFERRED))
    census = await backend.reader.census()
    longest = {queue: row.facts.job_id for queue, row in census.longest_queued.items()}
    assert longest == {"default": early.job_id, "mail": mail.job_id}
    assert dict(census.queued) == {"default": 2, "mail": 1}


async def test_a_census_counts_like_the_counts(backend: Backend) -> None:
    await write(backend, queued())
    await write(backend, *a_life())
    counts = await backend.reader.counts()
    assert (await backend.reader.census()).counts == counts
    assert Counter(counts) == {State.QUEUED: 1, State.COMPLETED: 1}


async def test_lock_keys_come_with_holder_and_waiters_held_ones_first(backend: Backend) -> None:
    holder, waiter = queued(lock_key="z"), queued(at=1, lock_key="z")
    later, free = queued(at=2, lock_key="z"), queued(lock_key="a")
    await backend.index.open(open_job(holder, state=State.RUNNING))
    for event in (later, waiter, free, queued()):
        await backend.index.open(open_job(event))
    held, unheld = await backend.reader.lock_uses()
    assert (held.lock_key, held.waiting) == ("z", 2)
    assert [row.facts.job_id for row in held.holders] == [holder.job_id]
    assert [row.facts.job_id for row in held.waiters] == [waiter.job_id, later.job_id]
    assert (unheld.lock_key, list(unheld.holders), unheld.waiting) == ("a", [], 1)


async def test_a_lock_key_is_listed_once_for_each_number_of_slots(backend: Backend) -> None:
    holders = [queued(at=n, lock_key="k", lock_slots=3) for n in range(2)]
    for event in holders:
        await backend.index.open(open_job(event, state=State.RUNNING))
    waiter, apart = queued(at=5, lock_key="k", lock_slots=3), queued(at=6, lock_key="k")
    for event in (waiter, apart, queued(lock_key="other", lock_slots=2)):
        await backend.index.open(open_job(event))
    three, *others = await backend.reader.lock_uses()
    assert (three.lock_key, three.slots, three.waiting) == ("k", 3, 1)
    held = sorted(row.facts.job_id for row in three.holders)
    assert held == sorted(event.job_id for event in holders)
    assert [(use.lock_key, use.slots) for use in others] == [("k", 1), ("other", 2)]


async def test_only_the_first_lock_keys_and_waiters_are_named(backend: Backend) -> None:
    for number in range(3):
        for second in range(3):
            await backend.index.open(open_job(queued(at=second, lock_key=f"k{number}")))
    uses = await backend.reader.lock_uses(limit=2, waiters=1)
    assert [(use.lock_key, use.waiting, len(use.waiters)) for use in uses] == [
        ("k0", 3, 1),
        ("k1", 3, 1),
    ]


async def test_the_dead_are_those_that_nobody_redrove_or_dismissed(backend: Backend) -> None:
    stays = await write_dead(backend)
    dismissed, redriven = await write_dead(backend), await write_dead(backend)
    await write(backend, after(dismissed, "Dismissed"), *a_life())
    await write(backend, after(redriven, "Redriven"))
    page = await backend.reader.jobs(JobQuery(dead=True))
    assert [row.facts.job_id for row in page.items] == [stays.job_id]
    assert page.next is None


async def test_a_job_row_tells_how_long_the_last_attempt_took(backend: Backend) -> None:
    await write(backend, *_ended_at(NOON, duration_ms=321))
    (row,) = (await backend.reader.jobs(JobQuery())).items
    assert row.duration_ms == 321
