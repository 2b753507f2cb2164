"""A census that takes long is taken less often; one at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from jobfleet_contracts.index import Census
from jobfleet_dashboard.census_reader import CensusReader
from tests.dashboard.standing_clock import StandingClock


class _Index:
    """A census costs as many seconds as it is told."""

    def __init__(self, clock: StandingClock, *, seconds: float) -> None:
        self.clock, self.seconds, self.taken = clock, seconds, 0

    async def census(self) -> Census:
        self.taken += 1
        await asyncio.sleep(0)
        self.clock.passed += timedelta(seconds=self.seconds)
        return Census({}, {})


def _reader(*, seconds: float) -> tuple[CensusReader, _Index, StandingClock]:
    clock = StandingClock(datetime(2026, 3, 1, tzinfo=UTC))
    index: Any = _Index(clock, seconds=seconds)
    return CensusReader(reader=index, clock=clock), index, clock


async def test_a_census_of_a_second_is_shown_for_nine() -> None:
    reader, index, clock = _reader(seconds=1)
    await reader.read()
    clock.passed += timedelta(seconds=8.9)
    await reader.read()
    assert index.taken == 1
    clock.passed += timedelta(seconds=0.2)
    await reader.read()
    assert index.taken == 2


async def test_a_census_that_costs_nothing_is_always_new() -> None:
    reader, index, _ = _reader(seconds=0)
    for _ in range(3):
        await reader.read()
    assert index.taken == 3


async def test_all_who_ask_at_once_share_a_census() -> None:
    reader, index, _ = _reader(seconds=1)
    await asyncio.gather(*(reader.read() for _ in range(20)))
    assert index.taken == 1
