"""A row that somebody has edited until no codec reads it: the verifier names it and goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from jobfleet_backends.azure.rows import row_key
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.audit.verification import verify_trail
from jobfleet_protocol.reading.job_reader import JobReader
from tests.conformance.jobs import a_life, write
from tests.conformance.spoiled_columns import spoiled_columns

Spoil = Callable[[Event, str, Any], Awaitable[None]]
UNREADABLE = {"State": "nonsense", "Data": "{not JSON", "OccurredAt": "yesterday"}


@pytest.fixture
def spoil(settings: Settings) -> Spoil:
    """Changes one column of an event's row behind jobfleet's back."""

    async def in_azure(event: Event, column: str, value: Any) -> None:
        secret = settings.storage_connection_string.get_secret_value()
        async with TableClient.from_connection_string(secret, settings.audit_table) as table:
            keys = {"PartitionKey": event.job_id, "RowKey": row_key(event.sequence)}
            await table.update_entity(keys | {column: value}, mode=UpdateMode.MERGE)

    async def in_postgres(event: Event, column: str, value: Any) -> None:
        name = {"OccurredAt": "occurred_at"}.get(column, column.lower())
        url, schema = settings.postgres_url.get_secret_value(), settings.postgres_schema
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("SET session_replication_role = replica")  # no trigger runs
            table = f"{schema}.trail"
            statement = f"UPDATE {table} SET {name} = %s WHERE job_id = %s AND sequence = %s"  # noqa: S608
            # The database refuses a time that no reader can represent, unless its check is gone.
            stored = "infinity" if value == "yesterday" else value
            moment = f"ALTER DOMAIN {schema}.moment"
            session.execute(f"{moment} DROP CONSTRAINT moment_check".encode())
            session.execute(statement.encode(), (stored, event.job_id, event.sequence))
            check = "VALUE >= '0001-01-01 UTC' AND VALUE < '10000-01-01 UTC'"
            session.execute(
                f"{moment} ADD CONSTRAINT moment_check CHECK ({check}) NOT VALID".encode()
            )

    async def in_sqlite(event: Event, column: str, value: Any) -> None:
        name = {"OccurredAt": "occurred_at"}.get(column, column.lower())
        with sqlite3.connect(settings.data_dir / "jobfleet.db") as database:
            database.execute("DROP TRIGGER IF EXISTS trail_is_never_rewritten")
            statement = f"UPDATE trail SET {name} = ? WHERE job_id = ? AND sequence = ?"  # noqa: S608
            database.execute(statement, (value, event.job_id, event.sequence))

    return {"embedded": in_sqlite, "azure": in_azure, "postgres": in_postgres}[settings.backend]


@pytest.mark.parametrize(("column", "value"), [*UNREADABLE.items(), ("Data", '["a", "list"]')])
async def test_the_verifier_reports_the_row_and_reads_on_behind_it(
    backend: Backend, spoil: Spoil, column: str, value: str
) -> None:
    broken, whole = a_life(), a_life()
    for life in (broken, whole):
        await write(backend, *life)
    await spoil(broken[1], column, value)
    found = await verify_trail(backend.trail)
    (violation,) = [one for one in found.violations.kept if "cannot be read" in one.message]
    assert (violation.rule, violation.job_id, violation.sequence) == (3, broken[0].job_id, 2)
    assert (found.jobs, found.events) == (2, len(broken) + len(whole))


async def _look(backend: Backend, job_id: str) -> None:
    """Ask everything that pages, routes and commands ask."""
    reader, trail = backend.reader, backend.trail
    jobs = JobReader(trail=trail, payloads=backend.payloads)
    with suppress(UnknownJob):  # its id was edited
        encode((await jobs.read(job_id)).to_json())
        await jobs.attempts(job_id)
    now = datetime.now(UTC)
    for page in (
        await reader.events(EventQuery(limit=50)),
        await reader.jobs(JobQuery(limit=50)),
        await reader.jobs(JobQuery(limit=50, states=frozenset({State.QUEUED, State.RUNNING}))),
        await reader.jobs(JobQuery(limit=50, text=job_id)),
        await reader.open_rows(),
        await backend.dead_letters.letters(),
    ):
        assert isinstance(page.items, list | tuple)
    await reader.since(None)
    await reader.census()
    await reader.ended(since=now - timedelta(hours=1), step="minute")
    await reader.ended(since=now - timedelta(days=1), step="hour")
    await reader.lock_uses()
    await backend.directory.workers()


@pytest.fixture
async def stored(backend: Backend) -> str:
    """A running job with a lock key, an ended one, a worker and a dead letter."""
    lives = [a_life(lock_key="k"), a_life()]
    for life in lives:
        await write(backend, *life)
    await backend.index.flush()
    now = datetime.now(UTC)
    running = RunningJob(job_id=lives[0][0].job_id, started_at=now, lease_seconds_left=1.0)
    await backend.directory.beat(
        WorkerStatus(
            worker_id=new_id(), host="h", started_at=now, heartbeat_at=now, running=(running,)
        )
    )
    letter = MalformedMessage(body=b"{", reason="no JSON", message_id="m")
    await backend.dead_letters.add(letter, now)
    return lives[0][0].job_id


@pytest.mark.parametrize("garbage", ["garbage", -7])
async def test_no_edited_column_of_any_row_hides_the_others(
    backend: Backend, settings: Settings, stored: str, garbage: str | int
) -> None:
    spoiled = 0
    async for column in spoiled_columns(settings, garbage):
        spoiled += 1
        try:
            await _look(backend, stored)
        except Exception as error:  # whatever it is, the column belongs into the message
            raise AssertionError(f"{column} = {garbage!r}: {error!r}") from error
    assert spoiled > 10
