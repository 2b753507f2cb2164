"""Edits the stored rows behind jobfleet's back, one column after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient

from jobfleet_backends.settings import Settings

# ruff: noqa: S608 - tables and columns come from the schema
_TABLES = ("trail", "jobs", "open_jobs", "workers", "dead_letters", "locks")
_KEYS = {"PartitionKey", "RowKey"}


async def spoiled_columns(settings: Settings, garbage: str | int) -> AsyncIterator[str]:
    """Yield the name of each column while it holds ``garbage``; then it is mended.

    The SQL databases refuse values of another type: such a column is passed by.
    """
    if settings.backend == "embedded":
        for name in _in_sqlite(settings.data_dir / "jobfleet.db", garbage):
            yield name
        return
    if settings.backend == "postgres":
        for name in _in_postgres(settings, garbage):
            yield name
        return
    secret = settings.storage_connection_string.get_secret_value()
    async with TableServiceClient.from_connection_string(secret) as service:
        async for table in service.list_tables():
            if not table.name.startswith(settings.audit_table):
                continue
            client = service.get_table_client(table.name)
            entities = [dict(entity) async for entity in client.list_entities()]
            for entity in _one_of_each_kind(entities):
                keys = {name: entity[name] for name in _KEYS}
                for column in entity.keys() - _KEYS:
                    await client.update_entity(keys | {column: garbage}, mode=UpdateMode.MERGE)
                    yield f"{table.name}.{column} of {entity['RowKey']}"
                    # A row without its columns may have been swept out meanwhile.
                    await client.upsert_entity(entity, mode=UpdateMode.REPLACE)


def _one_of_each_kind(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = {str(entity["RowKey"])[:2]: entity for entity in entities}
    return list(kinds.values())


def _in_postgres(settings: Settings, garbage: str | int) -> Iterator[str]:
    with psycopg.connect(settings.postgres_url.get_secret_value(), autocommit=True) as session:
        session.execute(f"SET search_path = {settings.postgres_schema}".encode())
        session.execute("SET session_replication_role = replica")  # no trigger runs
        for table in _TABLES:
            session.execute(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {table}".encode())
            columns = [
                each.name for each in session.execute("SELECT * FROM kept").description or ()
            ]
            for column in columns:
                try:
                    session.execute(f"UPDATE {table} SET {column} = '{garbage}'".encode())
                except psycopg.Error:
                    continue
                yield f"{table}.{column}"
                session.execute(f"DELETE FROM {table}".encode())
                session.execute(f"INSERT INTO {table} SELECT * FROM kept".encode())
            session.execute("DROP TABLE kept")


def _in_sqlite(path: Path, garbage: str | int) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as database, database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f"DROP TRIGGER {name}")
    for table in _TABLES:
        with closing(sqlite3.connect(path)) as database:
            rows = database.execute(f"SELECT * FROM {table}").fetchall()
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        for column in columns:
            if _spoil(path, table, column, garbage):
                yield f"{table}.{column}"
                _restore(path, table, rows)


def _spoil(path: Path, table: str, column: str, garbage: str | int) -> bool:
    with closing(sqlite3.connect(path)) as database, database:
        try:
            database.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (garbage,))
        except sqlite3.IntegrityError:
            return False
        return True


def _restore(path: Path, table: str, rows: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"DELETE FROM {table}")
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
