"""A row that the storage answers with a fault holds up no other row and no stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobfleet_backends.azure.index.shard_writer import INDEX_ROW_REFUSED, INDEX_ROW_SIMPLIFIED
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from tests.backends.azure.conftest import Fleet
from tests.backends.azure.fault_proxy import Exchange, Fault, FaultProxy
from tests.conformance.jobs import queued
from tests.polling import eventually

pytestmark = pytest.mark.servers

SECONDS = 30
MARK = "\N{SKULL}"
FAULTS = [Fault.SERVER_FAULT, Fault.BAD_REQUEST]


def marked(event: Event, mark: str = MARK) -> Event:
    return replace(event, facts=replace(event.facts, job_name=f"job {mark}"))


def holding(mark: str, fault: Fault) -> Callable[[Exchange], Fault]:
    """Spoil what holds the mark, in the spelling of either client."""
    spellings = mark.encode(), json.dumps(mark)[1:-1].encode()
    return lambda seen: fault if any(each in seen.body for each in spellings) else Fault.NONE


async def recorded(fleet: Fleet, events: list[Event]) -> list[dict[str, Any]]:
    with capture_logs() as lines:
        fleet.index.record(events)
        async with asyncio.timeout(SECONDS):
            await fleet.index.flush()
    return [dict(line) for line in lines]


async def names(fleet: Fleet) -> dict[str, str]:
    page = await fleet.reader.events(EventQuery(limit=1000))
    return {event.job_id: event.facts.job_name for event in page.items}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("others", [0, 1, 2, 40])
async def test_such_a_row_is_written_in_plain_text_and_the_others_as_they_are(
    fleet: Fleet, faulty: Fleet, table_proxy: FaultProxy, fault: Fault, others: int
) -> None:
    bad, good = marked(queued()), [queued() for _ in range(others)]
    table_proxy.choose = holding(MARK, fault)
    lines = await recorded(faulty, [*good[: others // 2], bad, *good[others // 2 :]])
    found = await names(fleet)
    assert found == {e.job_id: e.facts.job_name for e in good} | {bad.job_id: "job ?"}
    assert INDEX_ROW_SIMPLIFIED in {line["event"] for line in lines}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("bad_ones", [1, 3])
async def test_a_row_that_is_not_taken_in_plain_text_either_is_dropped_and_named(
    fleet: Fleet, faulty: Fleet, table_proxy: FaultProxy, fault: Fault, bad_ones: int
) -> None:
    bad = [marked(queued(), "plain-but-bad") for _ in range(bad_ones)]
    good = [queued() for _ in range(10)]
    table_proxy.choose = holding("plain-but-bad", fault)
    lines = await recorded(faulty, [*bad, *good])
    assert set(await names(fleet)) == {event.job_id for event in good}
    refused = [line["row"] for line in lines if line["event"] == INDEX_ROW_REFUSED]
    assert all(any(event.job_id in row for row in refused) for event in bad)


@pytest.mark.parametrize("rows", [1, 5])
async def test_nothing_is_given_up_while_the_storage_answers_so_whatever_it_is_asked(
    fleet: Fleet, faulty: Fleet, table_proxy: FaultProxy, rows: int
) -> None:
    events = [queued() for _ in range(rows)]
    table_proxy.choose = lambda _: Fault.SERVER_FAULT
    faulty.index.record(events)
    flushed = asyncio.create_task(_flush(faulty), name="flush")

    async def tried_often() -> bool:
        return len(table_proxy.exchanges) >= 40

    await eventually("40 requests", tried_often, seconds=120)
    assert not flushed.done()
    table_proxy.choose = lambda _: Fault.NONE
    await asyncio.wait_for(flushed, SECONDS)
    assert await names(fleet) == {event.job_id: event.facts.job_name for event in events}


async def test_a_stop_does_not_wait_for_a_storage_that_is_away(
    faulty: Fleet, table_proxy: FaultProxy
) -> None:
    table_proxy.choose = lambda _: Fault.SERVER_FAULT
    faulty.index.record([queued()])
    await asyncio.wait_for(faulty.index.stop(), SECONDS)


async def _flush(fleet: Fleet) -> None:
    await fleet.index.flush()
