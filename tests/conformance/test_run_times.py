"""JobIndexReader: how long attempts of each type waited and ran, and the slowest of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.run_times import (
    ENDINGS,
    MOST_SLOW_RUNS,
    MOST_TYPES,
    OTHER_TYPES,
    UNTIMED,
    Histogram,
    RunKind,
    RunTimes,
    added,
    percentile,
)
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of
from tests.conformance.jobs import BEGIN, after, queued, write

NOON = BEGIN.replace(minute=0, second=0) - timedelta(hours=2)
MINUTE = timedelta(minutes=1)


def _life(
    moment: datetime = NOON,
    *,
    waited: int | None = 40,
    ran: int | None = 500,
    ends: str = "Completed",
    job_type: str = "crm.sync",
) -> list[Event]:
    """A job that started and ended at a moment."""
    first = queued(begin=moment - timedelta(seconds=1), type=job_type)
    begun = after(first, "Started", worker_id="w1", lock="job/aa/x", duration_ms=waited)
    return [first, begun, after(begun, ends, seconds=0, worker_id="w1", duration_ms=ran)]


async def _write_all(backend: Backend, lives: Sequence[Sequence[Event]]) -> None:
    """Write many short histories, without the open rows that nothing here asks for."""
    for life in lives:
        await backend.trail.insert(life)
    await backend.index.record([event for life in lives for event in life])
    await backend.index.flush()


async def _times(backend: Backend, since: datetime = NOON) -> RunTimes:
    return await backend.reader.run_times(since=since)


def _histogram(times: RunTimes, *kinds: RunKind, job_type: str = "crm.sync") -> Histogram:
    return added(
        histogram
        for one in times.types
        if one.job_type == job_type
        for kind, histogram in one.counts.items()
        if kind in kinds
    )


def _counts(times: RunTimes) -> dict[RunKind, int]:
    total: Counter[RunKind] = Counter()
    for one in times.types:
        for kind, histogram in one.counts.items():
            total[kind] += sum(histogram.values())
    return dict(total)


async def test_percentiles_of_waits_and_runs_are_right_within_five_percent(
    backend: Backend,
) -> None:
    runs = [3 * number * number + 7 for number in range(1, 101)]
    await _write_all(backend, [_life(ran=run, waited=run // 2) for run in runs])
    times = await _times(backend)
    for share in (0.5, 0.95, 0.99):
        exact = sorted(runs)[round(share * 100) - 1]
        ran = percentile(_histogram(times, RunKind.COMPLETED), share)
        waited = percentile(_histogram(times, RunKind.WAITED), share)
        assert ran is not None
        assert waited is not None
        assert abs(ran - exact) <= 0.05 * exact
        assert abs(waited - exact // 2) <= 0.05 * exact // 2


async def test_each_way_to_end_counts_by_itself_and_a_retried_attempt_ends_no_job(
    backend: Backend,
) -> None:
    await _write_all(
        backend,
        [_life(ends=name) for name in ("Completed", "Failed", "TimedOut", "AttemptFailed")],
    )
    first = queued(begin=NOON, type="crm.sync")
    await _write_all(backend, [[first, after(first, "Cancelled")]])
    times = await _times(backend)
    assert _counts(times) == {kind: 4 if kind is RunKind.WAITED else 1 for kind in RunKind}
    assert _histogram(times, RunKind.CANCELLED) == {UNTIMED: 1}
    assert sum(_histogram(times, *ENDINGS).values()) == 4


async def test_a_start_whose_wait_is_not_known_is_no_wait(backend: Backend) -> None:
    await _write_all(backend, [_life(waited=None)])
    assert _counts(await _times(backend)) == {RunKind.COMPLETED: 1}


async def test_times_begin_with_the_ten_minutes_in_which_the_moment_lies(backend: Backend) -> None:
    await _write_all(backend, [_life(NOON + MINUTE * minutes) for minutes in (9, 10, 19, 65)])
    times = await _times(backend, NOON + MINUTE * 15)
    assert {one.start for one in times.types} == {NOON + MINUTE * 10, NOON + MINUTE * 60}
    assert _counts(times)[RunKind.COMPLETED] == 3
    assert len(times.slowest) == 3


async def test_repeats_count_once_and_all_processes_are_added_up_and_counted_anew(
    backend: Backend, other: Backend
) -> None:
    lives = [_life(NOON + MINUTE * minutes) for minutes in (0, 1, 60)]
    for writer, life in zip((backend, other, other), lives, strict=True):
        await write(writer, *life)
        await writer.index.record(life)
    expected = {RunKind.WAITED: 3, RunKind.COMPLETED: 3}
    assert _counts(await _times(backend)) == expected
    await other.index.begin_rebuild(now=NOON + timedelta(minutes=70))
    for life in lives:
        await other.index.record(life)
    times = await _times(backend)
    assert _counts(times) == expected
    assert len(times.slowest) == 3


async def test_a_rebuild_of_many_hours_in_any_order_loses_no_count(backend: Backend) -> None:
    hour = timedelta(hours=1)
    lives = [
        _life(NOON - hour * back, job_type=f"t{turn}") for turn in (0, 1) for back in range(60)
    ]
    await backend.index.begin_rebuild(now=NOON + MINUTE * 70)
    for life in lives:
        await backend.trail.insert(life)
        backend.index.record(life)
    await backend.index.flush()
    since = NOON - hour * 60
    assert _counts(await _times(backend, since))[RunKind.COMPLETED] == 120
    ended = await backend.reader.ended(since=since, step="hour")
    assert sum(one.jobs for one in ended) == 120


async def test_what_is_stored_does_not_grow_with_jobs_and_invented_types(backend: Backend) -> None:
    lives = [_life(ran=100 + number % 7) for number in range(60)]
    lives += [_life(job_type=f"invented.{number}") for number in range(MOST_TYPES * 5)]
    await _write_all(backend, lives)
    times = await _times(backend)
    assert _counts(times)[RunKind.COMPLETED] == len(lives)
    names = Counter(one.job_type for one in times.types)
    assert OTHER_TYPES in names
    assert sum(names.values()) <= 16 * (MOST_TYPES + 1)
    assert set(names.values()) == {1}
    assert len(_histogram(times, RunKind.COMPLETED)) <= 2
    assert len(times.slowest) == MOST_SLOW_RUNS


async def test_the_slowest_attempts_come_first_each_once(backend: Backend, other: Backend) -> None:
    lives = [_life(ran=1000 + number, job_type=f"t{number % 3}") for number in range(50)]
    await _write_all(backend, lives[::2])
    await _write_all(other, lives[1::2])
    slowest = (await _times(backend)).slowest
    assert [run.duration_ms for run in slowest] == [1049 - place for place in range(20)]
    first, ending = slowest[0], lives[49][2]
    assert (first.job_id, first.sequence, first.kind) == (ending.job_id, 3, RunKind.COMPLETED)
    assert (first.ended_at, first.job_type, first.attempt) == (NOON, "t1", 1)


async def test_trimming_forgets_old_times_and_keeps_the_endings(backend: Backend) -> None:
    day = timedelta(days=1)
    await write(backend, *_life(NOON - day))
    await write(backend, *_life(NOON))
    await backend.index.trim(before=NOON - day + timedelta(hours=1))
    times = await _times(backend, NOON - 2 * day)
    assert {one.start for one in times.types} == {NOON}
    assert len(times.slowest) == 1
    assert sum(one.jobs for one in await backend.reader.ended(since=NOON - day, step="hour")) == 2


async def test_a_history_that_is_removed_is_not_counted_again(backend: Backend) -> None:
    life = _life()
    await write(backend, *life)
    grave = tombstone_of(life[-1], life[-1], digest=None, message="removed")
    await backend.trail.insert([seal_of(grave, head=life[-1])])
    assert _counts(await _times(backend))[RunKind.COMPLETED] == 1
