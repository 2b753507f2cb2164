"""A row that somebody has edited until no codec reads it: the verifier names it and goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from jobfleet_backends.azure.rows import row_key
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_protocol.audit.verification import verify_trail
from tests.conformance.jobs import a_life, write

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

    async def in_sqlite(event: Event, column: str, value: Any) -> None:
        name = {"OccurredAt": "occurred_at"}.get(column, column.lower())
        with sqlite3.connect(settings.data_dir / "jobfleet.db") as database:
            database.execute("DROP TRIGGER IF EXISTS trail_is_never_rewritten")
            statement = f"UPDATE trail SET {name} = ? WHERE job_id = ? AND sequence = ?"  # noqa: S608
            database.execute(statement, (value, event.job_id, event.sequence))

    return in_sqlite if settings.backend == "embedded" else in_azure


@pytest.mark.parametrize(("column", "value"), [*UNREADABLE.items(), ("Data", '["a", "list"]')])
async def test_the_verifier_reports_the_row_and_reads_on_behind_it(
    backend: Backend, spoil: Spoil, column: str, value: str
) -> None:
    broken, whole = a_life(), a_life()
    for life in (broken, whole):
        await write(backend, *life)
    await spoil(broken[1], column, value)
    found = await verify_trail(backend.trail)
    (told,) = [one for one in found.violations.kept if "cannot be read" in one.message]
    assert (told.rule, told.job_id, told.sequence) == (3, broken[0].job_id, 2)
    assert (found.jobs, found.events) == (2, len(broken) + len(whole))
