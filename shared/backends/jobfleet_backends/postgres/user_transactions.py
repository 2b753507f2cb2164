"""Submits inside a user's own transaction: event 1, rows and message, or none of them."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import orjson

from jobfleet_backends.postgres.audit_trail import EVENT_NAMES
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.job_openings import OPEN_JOBS, opening_fields
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_backends.postgres.user_connection import Row, is_async, kind_of, run, run_async
from jobfleet_backends.sql.row_codec import EVENT_COLUMNS, row_to_event
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.transaction import Opened, Opening, TransactionState

_HAS_TABLES = "SELECT to_regclass(%s::text) IS NOT NULL"
# A dump that is restored elsewhere brings the mark along, but neither these numbers of the server's
# nor the transaction that wrote the mark.
_FLEET = """
SELECT pg_catalog.concat_ws('/', value, pg_database.oid, meta.tableoid, meta.xmin)
FROM jobfleet.meta CROSS JOIN pg_database WHERE name = 'fleet' AND datname = current_database()
"""
_STATE = "SELECT pg_xact_status(%s::text::xid8)"
_MOMENT = "SELECT pg_current_xact_id()::text"
_ARE_OVER = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::text::xid8"
_STATES: dict[str, TransactionState] = {
    "in progress": "open",
    "aborted": "rolled back",
    "committed": "committed",
}
_WRITE = OPEN_JOBS + "SELECT pg_current_xact_id()::text, (SELECT count(*) FROM written)"
_FOUND = f"""
SELECT row_to_json(first)::text, row_to_json(head)::text, convert_from(body, 'UTF8')
FROM (SELECT {EVENT_COLUMNS} FROM jobfleet.trail WHERE job_id = %s AND sequence = 1) AS first
CROSS JOIN LATERAL (
    SELECT {EVENT_COLUMNS} FROM jobfleet.trail AS it WHERE it.job_id = first.job_id
    ORDER BY it.sequence DESC LIMIT 1
) AS head
LEFT JOIN jobfleet.payloads
ON name = first.job_id || '/' || first.epoch::text || '/' || first.event_id
"""
_NOTIFY = "SELECT pg_notify(%s::text, %s::text) IS NULL"


class PostgresUserTransactions:
    """One statement for a submit; a second one reads the job that exists already."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._known: WeakSet[Any] = WeakSet()
        self._fleet: str | None = None

    def is_async(self, connection: Any) -> bool:
        """Return whether the connection is to be used with ``await``."""
        return is_async(connection)

    def write(self, connection: Any, opening: Opening, fleet: str) -> Opened:
        """Write all of it, or nothing if the job exists."""
        if self._is_new(connection):
            self._check_tables(run(connection, _HAS_TABLES, [self._meta]))
            self._check_fleet(run(connection, self._sql(_FLEET), []), fleet)
            self._remember(connection)
        ((transaction, written),) = run(connection, self._sql(_WRITE), _values(opening))
        if written:
            if opening.notify:
                run(connection, _NOTIFY, self._notify(opening))
            return Opened(transaction)
        return _found(transaction, run(connection, self._sql(_FOUND), [opening.event.job_id]))

    async def write_async(self, connection: Any, opening: Opening, fleet: str) -> Opened:
        """Like ``write``, on a connection that is used with ``await``."""
        if self._is_new(connection):
            self._check_tables(await run_async(connection, _HAS_TABLES, [self._meta]))
            self._check_fleet(await run_async(connection, self._sql(_FLEET), []), fleet)
            self._remember(connection)
        rows = await run_async(connection, self._sql(_WRITE), _values(opening))
        ((transaction, written),) = rows
        if written:
            if opening.notify:
                await run_async(connection, _NOTIFY, self._notify(opening))
            return Opened(transaction)
        found = await run_async(connection, self._sql(_FOUND), [opening.event.job_id])
        return _found(transaction, found)

    async def fleet(self) -> str:
        """Return the mark that the schema was given when it was made, with its place."""
        if self._fleet is None:
            ((self._fleet,),) = await self._database.fetch(_FLEET)
        return str(self._fleet)

    async def state(self, transaction: str) -> TransactionState:
        """Ask the server what became of a transaction."""
        ((state,),) = await self._database.fetch(_STATE, transaction)
        return _STATES.get(state, "rolled back")

    async def moment(self) -> str:
        """Take a number: transactions that have written something before have lower ones."""
        ((number,),) = await self._database.fetch(_MOMENT)
        return str(number)

    async def are_over(self, moment: str) -> bool:
        """Ask the server for the lowest number that is in use."""
        ((over,),) = await self._database.fetch(_ARE_OVER, moment)
        return bool(over)

    @property
    def _meta(self) -> str:
        return f'"{self._database.schema}".meta'

    def _sql(self, statement: str) -> str:
        return self._database.sql(statement)

    def _notify(self, opening: Opening) -> list[str]:
        return [channel_of(self._database.schema), opening.event.facts.queue]

    def _is_new(self, connection: Any) -> bool:
        """A session of another library may lead elsewhere with each transaction."""
        return kind_of(connection) != "psycopg" or connection not in self._known

    def _remember(self, connection: Any) -> None:
        if kind_of(connection) == "psycopg":
            self._known.add(connection)

    def _check_tables(self, rows: list[Row]) -> None:
        if not rows[0][0]:
            raise self._elsewhere()

    def _check_fleet(self, rows: list[Row], fleet: str) -> None:
        if [tuple(row) for row in rows] != [(fleet,)]:
            self._fleet = None  # the fleet may have moved to another server: ask once more
            raise self._elsewhere()

    def _elsewhere(self) -> InvalidRequest:
        return InvalidRequest(
            "connection: it leads to another database than the fleet's, "
            f"{self._database.address.shown}: a transaction cannot span both",
            field="connection",
        )


def _values(opening: Opening) -> list[str]:
    return [encode_text([opening_fields(opening)])]


def _found(transaction: str, rows: list[Row]) -> Opened:
    first, head, body = rows[0]
    event = _event(first)
    if body is not None:
        event = _event(first, data=body)
    return Opened(transaction, event, _event(head))


def _event(text: str, *, data: str | None = None) -> Event:
    fields = orjson.loads(text)
    if data is not None:
        fields["data"] = data
    return row_to_event(tuple(fields[name] for name in EVENT_NAMES))
