"""The pipeline of a session: many statements, one round trip, one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.postgres.connection import Address, Session, cut
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.lease_store import PostgresLeaseStore
from jobfleet_backends.postgres.pipeline import Pipeline, text_array
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.errors import LeaseConflict
from tests.conformance.jobs import an_id

_ECHO = "SELECT %s::text, 7::bigint"
_BROKEN = "SELECT 1 / length(%s::text)"
_AWKWARD = [
    "plain",
    'q"uote',
    "back\\slash",
    "com,ma",
    "{brace}",
    "new\nline",
    "ünïcode",
    "",
    "NULL",
]


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    opened = Address(settings.postgres_url.get_secret_value()).connect()
    yield opened
    opened.close()


def test_rows_come_in_the_order_of_their_statements(session: Session) -> None:
    pipeline = Pipeline(session)
    for _ in range(2):  # prepared with the first
        answers = pipeline.send([(_ECHO, ("a",)), ("SELECT", ()), (_ECHO, ("b",))])
        assert answers.error is None
        assert answers.rows == [[("a", 7)], [()], [("b", 7)]]


def test_nothing_stands_of_statements_of_which_one_failed(session: Session) -> None:
    session.execute("CREATE TEMP TABLE kept (a text)")
    pipeline = Pipeline(session)
    insert = "INSERT INTO kept VALUES (%s)"
    for _ in range(2):
        answers = pipeline.send([(insert, ("a",)), (_BROKEN, ("",)), (insert, ("b",))])
        assert isinstance(answers.error, psycopg.errors.DivisionByZero)
        assert answers.rows == [[]]
    assert pipeline.send([("SELECT a FROM kept", ())]).rows == [[]]
    assert pipeline.send([(insert, ("c",))]).error is None
    assert pipeline.send([("SELECT a FROM kept", ())]).rows == [[("c",)]]


def test_a_statement_that_cannot_be_prepared_is_tried_again(session: Session) -> None:
    pipeline = Pipeline(session)
    missing = [("SELECT a FROM not_yet", ())]
    assert isinstance(pipeline.send(missing).error, psycopg.errors.UndefinedTable)
    session.execute("CREATE TEMP TABLE not_yet (a text)")
    assert pipeline.send(missing).error is None


def test_large_values_go_both_ways(session: Session) -> None:
    values = [str(n) * 3_000_000 for n in range(6)]
    answers = Pipeline(session).send([(_ECHO, (value,)) for value in values])
    assert [rows[0][0] for rows in answers.rows] == values


def test_each_text_of_an_array_arrives_as_it_is(session: Session) -> None:
    ask = "SELECT value FROM unnest(%s::text[]) AS value"
    (rows,) = Pipeline(session).send([(ask, (text_array(_AWKWARD),))]).rows
    assert [value for (value,) in rows] == _AWKWARD


def test_a_lost_session_raises(session: Session) -> None:
    pipeline = Pipeline(session)
    pipeline.send([(_ECHO, ("a",))])
    cut(session)
    with pytest.raises(psycopg.OperationalError):
        pipeline.send([(_ECHO, ("b",))])
    assert session.closed


async def test_writes_go_on_after_their_session_has_discarded_its_statements(
    settings: Settings,
) -> None:
    backend = await open_backend(settings)  # makes the schema
    await backend.close()
    address = Address(settings.postgres_url.get_secret_value())
    database = Database(
        address=address, schema=settings.postgres_schema, clock=SystemClock(), writers=1
    )
    database.open()
    leases, lock, ours = PostgresLeaseStore(database=database), an_id(), an_id()
    await leases.acquire(lock, ours, 30, create=True)
    await database.execute("DEALLOCATE ALL")
    others = [leases.acquire(each, an_id(), 30, create=True) for each in (lock, *_AWKWARD)]
    refused, *taken = await asyncio.gather(*others, return_exceptions=True)
    assert isinstance(refused, LeaseConflict)
    assert taken == [None] * len(_AWKWARD)
    await database.close()
