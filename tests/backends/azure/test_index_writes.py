"""The index's writer: company in transactions, hints in any order, rows that are gone."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_backends.azure.index.index_rows import is_orphaned, open_key
from jobfleet_backends.azure.index.index_table import Shards
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.state import State
from tests.backends.azure.conftest import SHARDS, Fleet
from tests.backends.azure.fault_proxy import Fault, FaultProxy
from tests.conformance.jobs import a_life, after, completed, open_row, queued, started

pytestmark = pytest.mark.servers


async def test_more_rows_than_a_transaction_holds_are_all_written(fleet: Fleet) -> None:
    lives = [a_life() for _ in range(60)]
    for life in lives:
        fleet.index.record(life)
    await fleet.index.flush()
    page = await fleet.reader.events(EventQuery(limit=1000))
    assert {event.event_id for event in page.items} == {e.event_id for life in lives for e in life}


async def test_rows_that_are_gone_do_not_keep_others_from_being_written(fleet: Fleet) -> None:
    closed, kept = queued(), [queued() for _ in range(20)]
    for event in kept:
        await fleet.index.open(open_row(event))
    fleet.index.close(closed.job_id, 1)
    for event in kept:
        fleet.index.record([event, started(event)])
        fleet.index.close(queued().job_id, 1)
    await fleet.index.flush()
    rows = (await fleet.reader.open_rows()).items
    assert [row.state for row in rows] == [State.RUNNING] * 20


async def test_hints_of_writers_that_know_nothing_of_each_other_never_go_back(
    fleet: Fleet, faulty: Fleet
) -> None:
    first = queued()
    second = started(first)
    third = after(second, "Deferred")
    await fleet.index.open(open_row(first))
    await fleet.index.record([third])
    await fleet.index.published(first.job_id, 1, 3)
    await faulty.index.record([first, second])
    await faulty.index.published(first.job_id, 1, 1)
    (row,) = (await fleet.reader.open_rows()).items
    assert (row.state, row.sequence, row.published) == (State.DEFERRED, 3, 3)


async def test_a_late_hint_of_another_process_brings_no_closed_row_back(
    fleet: Fleet, faulty: Fleet
) -> None:
    first = queued()
    await fleet.index.open(open_row(first))
    await fleet.index.close(first.job_id, 1)
    await faulty.index.record([first, started(first)])
    await faulty.index.published(first.job_id, 1, 1)
    assert (await fleet.reader.open_rows()).items == []
    assert State.RUNNING not in await fleet.reader.counts()


async def test_a_row_may_be_opened_where_a_late_hint_stands(fleet: Fleet, faulty: Fleet) -> None:
    first = queued()
    await faulty.index.published(first.job_id, 1, 1)
    table = fleet.account.table(f"{fleet.prefix}JobIndex")
    hint = await table.get("test", Shards(SHARDS).of(first.job_id), open_key(first.job_id, 1))
    assert hint is not None
    assert is_orphaned(hint)
    await fleet.index.open(open_row(first))
    (row,) = (await fleet.reader.open_rows()).items
    assert (row.facts, row.published) == (first.facts, 1)


async def test_endings_are_counted_over_all_writers(fleet: Fleet, faulty: Fleet) -> None:
    for writer in (fleet, faulty):
        for _ in range(3):
            first = queued()
            await writer.index.record([first, started(first), completed(started(first))])
    assert await fleet.reader.counts() == {State.COMPLETED: 6}


async def test_large_data_are_left_out_of_the_copy(fleet: Fleet) -> None:
    first = queued()
    last = after(started(first), "Completed", worker_id="w1", data={"result": "x" * 20_000})
    await fleet.index.record([last])
    (event,) = (await fleet.reader.events(EventQuery())).items
    assert event.data.keys() == {"omittedCharacters"}
    assert event.event_id == last.event_id


async def test_open_rows_of_many_submits_go_together_and_a_known_one_spoils_no_other(
    fleet: Fleet,
) -> None:
    known, *fresh = (queued() for _ in range(50))
    await fleet.index.open(open_row(known))
    requests = fleet.counter.total("index.open")
    await asyncio.gather(*(fleet.index.open(open_row(job)) for job in fresh))
    assert fleet.counter.total("index.open") - requests == SHARDS
    again = [known, queued(), known, queued()]
    await asyncio.gather(*(fleet.index.open(open_row(job)) for job in again))
    await asyncio.gather(*(fleet.index.record([job]) for job in (*fresh, *again)))
    stand = {row.facts.job_id for row in (await fleet.reader.open_rows()).items}
    assert stand == {job.job_id for job in (*fresh, *again)}


async def test_where_a_batch_of_open_rows_gets_no_answer_each_submit_learns_it(
    fleet: Fleet, faulty: Fleet, table_proxy: FaultProxy
) -> None:
    jobs = [queued() for _ in range(20)]
    await faulty.index.open(open_row(queued()))
    table_proxy.choose = lambda seen: Fault.DROP_REPLY if "$batch" in seen.path else Fault.NONE
    opened = (faulty.index.open(open_row(job)) for job in jobs)
    answers = await asyncio.gather(*opened, return_exceptions=True)
    assert all(isinstance(one, BackendUnavailable) for one in answers)
    table_proxy.choose = lambda _: Fault.NONE
    stand = {row.facts.job_id for row in (await fleet.reader.open_rows()).items}
    assert stand > {job.job_id for job in jobs}  # they may have been written, and were
