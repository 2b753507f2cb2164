"""RateStore: one row per key; replacing what was read is the compare-and-swap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.rate import RateRow
from tests.conformance.conftest import WITH_FAKES

pytestmark = WITH_FAKES

KEY = "type/report.daily/0f3a-x_y"
MOMENT = datetime(2026, 3, 1, 6, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def stored(backend: Backend, key: str = KEY) -> RateRow:
    row = await backend.rates.read(key)
    assert row is not None
    return row


async def test_a_moment_comes_back_to_the_microsecond(backend: Backend, other: Backend) -> None:
    assert await backend.rates.read(KEY) is None
    assert await backend.rates.replace(KEY, MOMENT, read=None)
    assert (await stored(other)).moment == MOMENT
    for moment in (MOMENT + SECOND, MOMENT.replace(microsecond=0)):
        assert await other.rates.replace(KEY, moment, read=await stored(other))
        assert (await stored(backend)).moment == moment


async def test_keys_count_apart(backend: Backend) -> None:
    keys = ("type/a", "type/a/b", "limit/a", "type/A")
    for number, key in enumerate(keys):
        assert await backend.rates.replace(key, MOMENT + number * SECOND, read=None)
    moments = [(await stored(backend, key)).moment for key in keys]
    assert moments == [MOMENT + number * SECOND for number in range(len(keys))]


async def test_a_row_is_inserted_once(backend: Backend, other: Backend) -> None:
    assert await backend.rates.replace(KEY, MOMENT, read=None)
    assert not await other.rates.replace(KEY, MOMENT + SECOND, read=None)
    assert (await stored(backend)).moment == MOMENT


async def test_a_row_is_replaced_only_as_it_was_read(backend: Backend, other: Backend) -> None:
    await backend.rates.replace(KEY, MOMENT, read=None)
    read = await stored(backend)
    assert await other.rates.replace(KEY, MOMENT + SECOND, read=read)
    assert not await backend.rates.replace(KEY, MOMENT + 2 * SECOND, read=read)
    assert (await stored(backend)).moment == MOMENT + SECOND


async def test_a_late_copy_of_a_write_is_refused_though_the_same_moment_stands_again(
    backend: Backend,
) -> None:
    await backend.rates.replace(KEY, MOMENT, read=None)
    first = await stored(backend)
    for moment in (MOMENT + SECOND, MOMENT):
        assert await backend.rates.replace(KEY, moment, read=await stored(backend))
    assert not await backend.rates.replace(KEY, MOMENT + SECOND, read=first)


async def test_of_many_at_once_each_round_has_one_winner(backend: Backend, other: Backend) -> None:
    await backend.rates.replace(KEY, MOMENT, read=None)
    for number in range(1, 4):
        read = await stored(backend)
        moment = MOMENT + number * SECOND
        ports = [backend.rates, other.rates] * 4
        won = await asyncio.gather(*(port.replace(KEY, moment, read=read) for port in ports))
        assert sum(won) == 1


async def test_old_rows_are_forgotten_and_begin_anew(backend: Backend, other: Backend) -> None:
    old, young = "type/old", "type/young"
    await backend.rates.replace(old, MOMENT, read=None)
    await backend.rates.replace(young, MOMENT + SECOND, read=None)
    read = await stored(backend, old)
    await other.rates.forget(MOMENT + SECOND)
    assert await backend.rates.read(old) is None
    assert (await stored(backend, young)).moment == MOMENT + SECOND
    assert not await backend.rates.replace(old, MOMENT + SECOND, read=read)
    assert await backend.rates.replace(old, MOMENT + SECOND, read=None)
    assert not await backend.rates.replace(old, MOMENT + 2 * SECOND, read=read)
