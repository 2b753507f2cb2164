"""The cost of a page does not depend on what is stored."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.sqlite import job_index_reader
from jobfleet_backends.sqlite.audit_trail import SqliteAuditTrail
from jobfleet_backends.sqlite.connection import connect
from jobfleet_backends.sqlite.database import Database
from jobfleet_backends.sqlite.job_index_reader import SqliteJobIndexReader
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.row_test import RowTest, TestedField
from jobfleet_contracts.state import State
from jobfleet_protocol.reading import event_search
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.search import narrow_events
from tests.backends.sqlite.stored_jobs import (
    NEWEST,
    store_jobs,
    store_waiters,
    stored_job_id,
)

FEW, MANY = 1_000, 100_000
FEW_OPEN, MANY_OPEN = 1_500, 10_000
"""More wait for one lock key than are counted."""
SEARCHED = 500
"""Jobs or events that a search looks through here; the real bounds are about what is stored."""
MOMENT = NEWEST - timedelta(minutes=10)


class CountedDatabase:
    """Stands for the readers: counts the steps of SQLite's virtual machine."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._steps = 0

    async def read(self, operation: Callable[[sqlite3.Connection], Any]) -> Any:
        self._connection.set_progress_handler(self._count, 1)
        return operation(self._connection)

    fetch_as = Database.fetch_as

    async def steps(self, question: Callable[[], Awaitable[Any]]) -> int:
        """Return how many steps a question takes."""
        self._steps = 0
        await question()
        return self._steps

    def close(self) -> None:
        self._connection.close()

    def _count(self) -> None:
        self._steps += 1


def _tested(field: TestedField) -> EventQuery:
    return EventQuery(tests=(RowTest(field, "nowhere"),))


QUESTIONS: dict[str, Callable[[SqliteJobIndexReader, SqliteAuditTrail], Awaitable[Any]]] = {
    "last 200 events": lambda reader, _: reader.events(EventQuery(limit=200)),
    "events of a status": lambda reader, _: reader.events(
        EventQuery(statuses=frozenset({"Completed"}))
    ),
    "events of a range": lambda reader, _: reader.events(
        EventQuery(since=MOMENT - timedelta(minutes=10), until=MOMENT)
    ),
    "events of two statuses": lambda reader, _: reader.events(
        EventQuery(statuses=frozenset({"Completed", "Failed"}), limit=20)
    ),
    "events of a type": lambda reader, _: reader.events(EventQuery(job_type="DEMO.steps")),
    "events of a text that nothing has": lambda reader, _: reader.events(_tested("text")),
    "events of a worker that nobody is": lambda reader, _: reader.events(_tested("worker")),
    "failures that nobody had": lambda reader, _: find_events(
        reader, narrow_events(EventQuery(limit=100), "error:nowhere")
    ),
    "events of a name": lambda reader, _: reader.events(EventQuery(job_name="none has it")),
    "one job's history": lambda _, trail: trail.history(stored_job_id(7)),
    "one job's newest event": lambda _, trail: trail.newest(stored_job_id(7)),
    "live events": lambda reader, _: reader.since("900", limit=50),
    "jobs": lambda reader, _: reader.jobs(JobQuery()),
    "jobs of two states": lambda reader, _: reader.jobs(
        JobQuery(states=frozenset({State.COMPLETED, State.RUNNING}))
    ),
    "jobs of a type": lambda reader, _: reader.jobs(JobQuery(job_type="demo.steps")),
    "jobs of a common text": lambda reader, _: reader.jobs(JobQuery(text="number")),
    "jobs of a text that nothing has": lambda reader, _: reader.jobs(JobQuery(text="nowhere")),
    "jobs of a queue that nothing has": lambda reader, _: reader.jobs(JobQuery(queue="nowhere")),
    "jobs of a lock key": lambda reader, _: reader.jobs(JobQuery(lock_key="k")),
    "one job by its id": lambda reader, _: reader.jobs(JobQuery(text=stored_job_id(7))),
    "dead jobs": lambda reader, _: reader.jobs(JobQuery(dead=True)),
    "counts": lambda reader, _: reader.counts(),
    "a census": lambda reader, _: reader.census(),
    "what ended, by minute": lambda reader, _: reader.ended(since=MOMENT, step="minute"),
    "what ended up to a time": lambda reader, _: reader.ended(
        since=MOMENT, until=MOMENT + timedelta(minutes=5), step="minute"
    ),
    "what ended, by hour": lambda reader, _: reader.ended(since=MOMENT, step="hour"),
    "lock keys": lambda reader, _: reader.lock_uses(),
    "waiters of a lock key": lambda reader, _: reader.lock_waiters("k"),
}


async def _costs(path: Path) -> dict[str, int]:
    counted: Any = CountedDatabase(path)
    reader, trail = SqliteJobIndexReader(database=counted), SqliteAuditTrail(database=counted)
    costs = {
        name: await counted.steps(lambda ask=ask: ask(reader, trail))
        for name, ask in QUESTIONS.items()
    }
    counted.close()
    return costs


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], dict[str, int]]:
    """Steps of each question with few and with many jobs stored."""
    path = tmp_path_factory.mktemp("stored") / "jobfleet.db"

    patch = pytest.MonkeyPatch()
    patch.setattr(job_index_reader, "SEARCHED_JOBS", SEARCHED)
    patch.setattr(job_index_reader, "SEARCHED_EVENTS", SEARCHED)
    patch.setattr(event_search, "LOOKED_AT", 10)

    async def measure() -> tuple[dict[str, int], dict[str, int]]:
        database = Database(path=path, clock=SystemClock())
        database.open()
        store_jobs(path, FEW, steps="[4]")
        store_waiters(path, FEW_OPEN)
        few = await _costs(path)
        store_jobs(path, MANY - FEW, first=FEW + 1, steps="[4]")
        store_waiters(path, MANY_OPEN - FEW_OPEN, first=FEW_OPEN + 1)
        many = await _costs(path)
        await database.close()
        return few, many

    try:
        return asyncio.run(measure())
    finally:
        patch.undo()


def test_a_census_costs_an_index_entry_for_each_job_that_is_queued(
    costs: tuple[dict[str, int], dict[str, int]],
) -> None:
    few, many = (each["a census"] for each in costs)
    assert 0 < many - few <= 10 * (MANY_OPEN - FEW_OPEN)


@pytest.mark.parametrize("question", sorted(set(QUESTIONS) - {"a census"}))
def test_a_question_costs_the_same_with_few_and_with_many_jobs_stored(
    costs: tuple[dict[str, int], dict[str, int]], question: str
) -> None:
    few, many = costs[0][question], costs[1][question]
    assert 0 < many <= few * 1.02 + 20
