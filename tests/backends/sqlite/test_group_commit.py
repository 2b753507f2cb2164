"""GroupCommit: one transaction for many callers, and no caller pays for another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.sql.operation_queue import Operation
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.errors import BackendUnavailable, SequenceTaken


def _add(name: str) -> Operation[Any]:
    statement = "INSERT INTO meta VALUES (?, '')"
    return lambda connection: connection.execute(statement, (name,)).rowcount


def _add_and_break(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO meta VALUES ('half', '')")
    raise ZeroDivisionError


def _refuse(connection: sqlite3.Connection) -> None:
    raise SequenceTaken("of its own")


def _names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM meta WHERE value = ''")}


async def test_an_operation_that_breaks_leaves_nothing_and_harms_no_neighbour(
    database: Database,
) -> None:
    operations = [_add("a"), _add_and_break, _add("b"), _refuse, _add("a"), _add("c")]
    results: list[Any] = await asyncio.gather(
        *(database.write(operation) for operation in operations),
        return_exceptions=True,
    )
    assert [results[0], results[2], results[5]] == [1, 1, 1]
    assert isinstance(results[1], ZeroDivisionError)
    assert isinstance(results[3], SequenceTaken)
    assert isinstance(results[4], sqlite3.IntegrityError)
    assert await database.read(_names) == {"a", "b", "c"}


async def test_operations_run_in_the_order_of_their_calls(database: Database) -> None:
    order: list[int] = []

    def noting(number: int) -> Operation[None]:
        return lambda _: order.append(number)

    await asyncio.gather(*(database.write(noting(number)) for number in range(200)))
    assert order == list(range(200))


async def test_callers_in_other_threads_get_their_answers_on_their_own_loops(
    database: Database,
) -> None:
    async def write_and_read(number: int) -> int:
        thread = threading.get_ident()
        await database.write(_add(f"t{number}"))
        assert threading.get_ident() == thread
        return len(await database.read(_names))

    runs = (asyncio.to_thread(asyncio.run, write_and_read(number)) for number in range(8))
    assert max(await asyncio.gather(*runs)) == 8


async def test_a_caller_that_gave_up_does_not_stop_the_writer(database: Database) -> None:
    given_up = database.write(_add("given up"))
    given_up.cancel()
    await database.write(_add("kept"))
    assert "kept" in await database.read(_names)


async def test_a_file_locked_for_long_is_reported_by_name(database: Database, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(BackendUnavailable, match=f"{path} is locked by another process"):
        await database.write(_add("a"))
    assert await database.read(_names) == set()
    holder.execute("ROLLBACK")
    holder.close()
    assert await database.write(_add("a")) == 1


async def test_a_full_disk_is_reported_by_name_and_passes(database: Database, path: Path) -> None:
    def limit(pages: int) -> Operation[Any]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchone()

    def grow(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO payloads VALUES ('big', zeroblob(1000000))")

    await database.write(limit(1))
    with pytest.raises(BackendUnavailable, match=f"no space left on the disk of {path.parent}"):
        await database.write(grow)
    await database.write(limit(1_000_000))
    await database.write(grow)


async def test_a_closed_database_is_unavailable(database: Database) -> None:
    await database.close()
    with pytest.raises(BackendUnavailable, match="closed"):
        await database.write(_add("a"))
    with pytest.raises(BackendUnavailable, match="closed"):
        await database.read(_names)
