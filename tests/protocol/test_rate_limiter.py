"""Slots of a rate: each is taken once, none lies too far ahead, and a crash only wastes some."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.rate import Rate, RateRow
from jobfleet_protocol.claiming.rate_limiter import Admission, Crowded, RateDemand, RateLimiter

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
TEN = RateDemand("type/call", "call", Rate("10/second"))
TENTH = timedelta(seconds=0.1)


class StillClock:
    """Stands until a test moves it on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def boottime(self) -> float:
        return self.seconds


class Rows:
    """A rate store in memory, whose answers can be lost."""

    def __init__(self) -> None:
        self.rows: dict[str, RateRow] = {}
        self.writes = 0
        self.loses_answers = False

    async def read(self, key: str) -> RateRow | None:
        await asyncio.sleep(0)
        return self.rows.get(key)

    async def replace(self, key: str, moment: datetime, *, read: RateRow | None) -> bool:
        await asyncio.sleep(0)
        self.writes += 1
        if self.rows.get(key) != read:
            return False
        self.rows[key] = RateRow(moment, str(self.writes))
        if self.loses_answers:
            raise BackendUnavailable("the answer was lost")
        return True

    async def forget(self, before: datetime) -> None:
        self.rows = {key: row for key, row in self.rows.items() if row.moment >= before}


class Place:
    """Workers with one store and one clock."""

    def __init__(self) -> None:
        self.clock, self.store = StillClock(), Rows()

    def worker(self, offset: float = 0.0) -> RateLimiter:
        return RateLimiter(store=self.store, clock=self.clock, clock_offset=lambda: offset)


@pytest.fixture
def place() -> Place:
    return Place()


async def ask(worker: RateLimiter, demand: RateDemand = TEN, count: int = 1) -> list[float | None]:
    """Return the seconds of the slots, ``None`` where there was none."""
    found = await asyncio.gather(*(worker.admit([demand], {}) for _ in range(count)))
    return [None if isinstance(f, Crowded) else (f.at - BEGIN).total_seconds() for f in found]


def slots_of(found: Sequence[float | None]) -> list[float]:
    return [each for each in found if each is not None]


async def test_slots_follow_each_other_at_the_rate(place: Place) -> None:
    worker = place.worker()
    assert [await ask(worker) for _ in range(3)] == [[0.0], [0.1], [0.2]]


async def test_starts_that_ask_together_share_one_write(place: Place) -> None:
    found = slots_of(await ask(place.worker(), count=20))
    assert sorted(found) == pytest.approx([n / 10 for n in range(20)])
    assert place.store.writes <= 2


async def test_no_slot_further_ahead_than_five_seconds_is_reserved(place: Place) -> None:
    found = await ask(place.worker(), count=100)
    assert len(slots_of(found)) == 51
    assert max(slots_of(found)) == 5.0
    place.clock.seconds = 1.0
    assert len(slots_of(await ask(place.worker(), count=100))) == 10


async def test_many_workers_never_take_one_slot_twice(place: Place) -> None:
    workers = [place.worker() for _ in range(5)]
    found = await asyncio.gather(*(ask(worker, count=8) for worker in workers))
    slots = sorted(slot for each in found for slot in slots_of(each))
    assert slots == pytest.approx([n / 10 for n in range(40)])


async def test_a_burst_may_start_at_once_after_a_quiet_time(place: Place) -> None:
    demand = RateDemand("type/call", "call", Rate("10/second", burst=5))
    found = slots_of(await ask(place.worker(), demand, count=7))
    assert sorted(found) == pytest.approx([0, 0, 0, 0, 0, 0.1, 0.2])


@pytest.mark.parametrize("text", ["3/second", "7/minute", "10/second", "1000/hour"])
@pytest.mark.parametrize("burst", [1, 4])
async def test_no_window_has_more_slots_than_the_bound(place: Place, text: str, burst: int) -> None:
    rate = Rate(text, burst=burst)
    demand = RateDemand("type/call", "call", rate)
    workers, slots = [place.worker(), place.worker()], []
    for step in range(120):
        place.clock.seconds = step * rate.interval.total_seconds() / 3
        slots += slots_of(await ask(workers[step % 2], demand))
    slots.sort()
    interval = rate.interval.total_seconds()
    for first, start in enumerate(slots):
        for window in (interval, 3 * interval, 11 * interval):
            inside = [slot for slot in slots[first:] if slot <= start + window]
            assert len(inside) <= window / interval + burst + 1e-6


async def test_a_lost_answer_wastes_slots_and_gives_none_twice(place: Place) -> None:
    worker = place.worker()
    place.store.loses_answers = True
    with pytest.raises(BackendUnavailable):
        await ask(worker)
    place.store.loses_answers = False
    assert await ask(worker) == [0.1]


async def test_a_caller_that_goes_away_leaves_the_others_their_slots(place: Place) -> None:
    worker = place.worker()
    tasks = [asyncio.create_task(ask(worker)) for _ in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    found = await asyncio.gather(*tasks[1:])
    assert len({slot for each in found for slot in slots_of(each)}) == 3


async def test_a_slot_that_is_held_serves_until_its_grace_is_over(place: Place) -> None:
    worker, held = place.worker(), {TEN.key: BEGIN}
    for seconds, expected in ((0.0, 0.0), (1.0, 0.0), (1.1, 1.1)):
        place.clock.seconds = seconds
        found = await worker.admit([TEN], held)
        assert isinstance(found, Admission)
        assert (found.at - BEGIN).total_seconds() == pytest.approx(expected)


async def test_slots_are_times_of_the_storages_clock(place: Place) -> None:
    fast, true = place.worker(offset=30.0), place.worker()
    place.clock.seconds = 30.0
    assert await ask(fast) == [0.0]
    place.clock.seconds = 0.0
    assert await ask(true) == [0.1]


async def test_a_job_of_two_rates_starts_when_both_allow_it(place: Place) -> None:
    worker = place.worker()
    slow = RateDemand("limit/slow", "limit slow", Rate("1/second"))
    assert await ask(worker, slow) == [0.0]
    found = await worker.admit([TEN, slow], {})
    assert isinstance(found, Admission)
    assert (found.at - BEGIN).total_seconds() == 1.0
    assert found.name == "limit slow"
    assert set(found.starts.values()) == {BEGIN + timedelta(seconds=1)}


async def test_storage_that_answers_late_still_yields_a_slot_that_is_not_over(
    place: Place,
) -> None:
    worker, read = place.worker(), place.store.read

    async def slowly(key: str) -> RateRow | None:
        place.clock.seconds += 1.5
        return await read(key)

    place.store.read = slowly  # type: ignore[method-assign]
    write = place.store.replace

    async def write_slowly(key: str, moment: datetime, *, read: RateRow | None) -> bool:
        place.clock.seconds += 1.5
        return await write(key, moment, read=read)

    place.store.replace = write_slowly  # type: ignore[method-assign]
    found = await worker.admit([TEN], {})
    assert isinstance(found, Admission)
    assert not found.is_over(worker.now())


async def test_a_full_rate_is_remembered_without_a_question(place: Place) -> None:
    worker = place.worker()
    assert worker.crowded([TEN]) is None
    await ask(worker, count=60)
    assert worker.crowded([TEN]) == Crowded(TEN)
    place.clock.seconds = 1.0
    assert worker.crowded([TEN]) is None


async def test_jobs_that_are_put_off_come_back_about_as_fast_as_they_may_start(
    place: Place,
) -> None:
    worker = place.worker()
    await ask(worker, count=60)
    times = sorted(worker.put_off_seconds(Crowded(TEN)) for _ in range(550))
    assert times[-1] <= 60
    for seconds in range(5, 30, 5):
        back = sum(time <= seconds for time in times)
        assert 10 * seconds <= back <= 40 * seconds


async def test_the_memory_of_many_quiet_keys_is_bounded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_protocol.claiming.rate_limiter.MOST_KEYS", 10)
    worker = place.worker()
    for number in range(50):
        place.clock.seconds = number
        await ask(worker, RateDemand(f"type/call/{number}", "call", Rate("10/second")))
    assert len(worker._keys) <= 10


def test_a_rate_that_does_not_fit_says_what_is_allowed() -> None:
    for text in ("10", "0/second", "10/week", "-1/second", "10 / second", "99999/second", None):
        with pytest.raises(ValueError, match="10/second"):
            Rate(text)  # type: ignore[arg-type]
    for burst in (0, -1, 1.5, True, 10**6, "2"):
        with pytest.raises(ValueError, match="burst"):
            Rate("10/second", burst=burst)  # type: ignore[arg-type]
    for grace in (0, 0.5, float("nan"), float("inf"), True, "1", 61):
        with pytest.raises(ValueError, match="grace_seconds"):
            Rate("10/second", grace_seconds=grace)  # type: ignore[arg-type]


def test_an_interval_is_rounded_up_so_that_the_rate_is_never_exceeded() -> None:
    assert Rate("3/second").interval == timedelta(microseconds=333_334)
    assert Rate("600/hour").interval == timedelta(seconds=6)
