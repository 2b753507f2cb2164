"""Connections of a user's own, as several libraries hand them out.

None of these libraries is imported here: a caller with a connection has imported its library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from jobfleet_contracts.errors import InvalidRequest

Row = tuple[Any, ...]
_FIELD = "connection"
_KNOWN = (
    "a psycopg 3 connection, a SQLAlchemy connection or session, or a Django connection, "
    "to PostgreSQL"
)
_COMMITS_ITSELF = (
    "connection: it commits each statement by itself, so the job would not belong to your "
    "transaction; begin one first"
)


def kind_of(connection: Any) -> str:
    """Return ``psycopg``, ``sqlalchemy`` or ``django``.

    Raises:
        InvalidRequest: it is none of them.
    """
    if isinstance(connection, psycopg.Connection | psycopg.AsyncConnection):
        return "psycopg"
    modules = {each.__module__.partition(".")[0] for each in type(connection).__mro__}
    for library in ("sqlalchemy", "django"):
        if library in modules and (library == "django" or _is_sqlalchemy(connection)):
            return library
    raise InvalidRequest(
        f"connection: {type(connection).__module__}.{type(connection).__qualname__} cannot "
        f"submit a job; give {_KNOWN}",
        field=_FIELD,
    )


def is_async(connection: Any) -> bool:
    """Return whether statements are awaited."""
    if kind_of(connection) == "psycopg":
        return isinstance(connection, psycopg.AsyncConnection)
    names = {each.__name__ for each in type(connection).__mro__}
    return bool(names & {"AsyncConnection", "AsyncSession", "async_scoped_session"})


def run(connection: Any, statement: str, values: Sequence[Any]) -> list[Row]:
    """Run one statement in the transaction of a blocking connection; return its rows."""
    kind = kind_of(connection)
    if kind == "psycopg":
        _check_psycopg(connection)
        with connection.cursor(row_factory=tuple_row) as cursor:
            return list(cursor.execute(statement, values).fetchall())
    if kind == "django":
        return _run_django(connection, statement, values)
    return _run_sqlalchemy(_of_session(connection), statement, values)


async def run_async(connection: Any, statement: str, values: Sequence[Any]) -> list[Row]:
    """Like :func:`run`, on a connection that is used with ``await``."""
    if kind_of(connection) == "psycopg":
        _check_psycopg(connection)
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(statement, values)
            return list(await cursor.fetchall())
    if hasattr(connection, "run_sync") and not hasattr(connection, "exec_driver_sql"):
        connection = await connection.connection()
    found: list[Row] = await connection.run_sync(_run_sqlalchemy, statement, values)
    return found


def _is_sqlalchemy(connection: Any) -> bool:
    return hasattr(connection, "exec_driver_sql") or hasattr(connection, "get_bind")


def _check_psycopg(connection: Any) -> None:
    if connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        raise InvalidRequest(_COMMITS_ITSELF, field=_FIELD)


def _run_django(connection: Any, statement: str, values: Sequence[Any]) -> list[Row]:
    if connection.vendor != "postgresql":
        raise _other_server(connection.vendor)
    if connection.get_autocommit() and not connection.in_atomic_block:
        raise InvalidRequest(f"{_COMMITS_ITSELF} with transaction.atomic()", field=_FIELD)
    with connection.cursor() as cursor:
        cursor.execute(statement, tuple(values))
        return [tuple(row) for row in cursor.fetchall()]


def _of_session(connection: Any) -> Any:
    return connection if hasattr(connection, "exec_driver_sql") else connection.connection()


def _run_sqlalchemy(connection: Any, statement: str, values: Sequence[Any]) -> list[Row]:
    if connection.dialect.name != "postgresql":
        raise _other_server(connection.dialect.name)
    driver = connection.connection.dbapi_connection
    level = getattr(driver, "isolation_level", None)
    if getattr(driver, "autocommit", False) is True or str(level).lower() == "autocommit":
        raise InvalidRequest(_COMMITS_ITSELF, field=_FIELD)
    if connection.dialect.paramstyle == "numeric_dollar":  # asyncpg
        for number in range(1, len(values) + 1):
            statement = statement.replace("%s", f"${number}", 1)
    found = connection.exec_driver_sql(statement, tuple(values))
    return [tuple(row) for row in found.fetchall()]


def _other_server(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"connection: it leads to {name}, and the fleet's tables are in PostgreSQL", field=_FIELD
    )
