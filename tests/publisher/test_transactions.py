"""Submit in a transaction of one's own: the job exists if, and only if, it commits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import django.conf
import psycopg
import pytest
import sqlalchemy
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from devtools.evidence import figures
from devtools.evidence.bug_class import BugClass
from devtools.servers import PostgresServer
from devtools.servers.polling import wait_until
from jobfleet_backends.postgres.connection import cut
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_contracts.errors import (
    ActionRefused,
    BackendUnavailable,
    BodyConflict,
    InvalidRequest,
    UnknownJob,
)
from jobfleet_contracts.state import State
from jobfleet_publisher import Publisher
from jobfleet_publisher.sync import Publisher as BlockingPublisher
from tests.planted import failure_of
from tests.publisher.transaction_bugs import TRANSACTION_BUGS, TransactionBug

pytestmark = pytest.mark.servers

_TABLES = ("trail", "open_jobs", "jobs", "messages", "payloads")


@pytest.fixture
def flags(postgres: PostgresServer, postgres_schema: str) -> dict[str, Any]:
    return {
        "backend": "postgres",
        "postgres_url": postgres.url,
        "postgres_schema": postgres_schema,
    }


@pytest.fixture
async def publisher(flags: dict[str, Any]) -> AsyncIterator[Publisher]:
    async with Publisher.from_env(**flags) as publisher:
        yield publisher


@pytest.fixture
def blocking(flags: dict[str, Any]) -> Iterator[BlockingPublisher]:
    with BlockingPublisher.from_env(**flags) as publisher:
        yield publisher


@pytest.fixture
async def connection(postgres: PostgresServer) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        yield connection


def _stored(flags: dict[str, Any]) -> dict[str, int]:
    schema = flags["postgres_schema"]
    with psycopg.connect(flags["postgres_url"]) as session:
        return {
            table: session.execute(f"SELECT count(*) FROM {schema}.{table}".encode()).fetchone()[0]  # type: ignore[index]  # noqa: S608
            for table in _TABLES
        }


_NOTHING = dict.fromkeys(_TABLES, 0)
_ONE_JOB = {"trail": 1, "open_jobs": 1, "jobs": 1, "messages": 1, "payloads": 0}


class _RolledBack(Exception):
    """Ends a test's transaction."""


@contextmanager
def _psycopg(url: str) -> Iterator[Any]:
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def _psycopg_block(url: str) -> Iterator[Any]:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        yield connection


@contextmanager
def _sqlalchemy(url: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _sqlalchemy_session(url: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


@contextmanager
def _django(url: str) -> Iterator[Any]:
    from django.db.transaction import Atomic

    connection = _django_connection(url)
    with suppress(RuntimeError):  # configured by another test
        django.conf.settings.configure(USE_TZ=True)
    from django.db import connections

    connections["jobs"] = connection
    try:
        with Atomic("jobs", savepoint=True, durable=False):
            yield connection
    finally:
        connection.close()
        del connections["jobs"]


def _django_connection(url: str) -> DatabaseWrapper:
    with suppress(RuntimeError):
        django.conf.settings.configure(USE_TZ=True)
    parts = conninfo_to_dict(url)
    return DatabaseWrapper(
        {
            "NAME": parts["dbname"],
            "USER": parts["user"],
            "PASSWORD": "",
            "HOST": parts["host"],
            "PORT": parts["port"],
            "OPTIONS": {},
            "TIME_ZONE": None,
            "CONN_MAX_AGE": 0,
            "CONN_HEALTH_CHECKS": False,
            "AUTOCOMMIT": True,
            "ATOMIC_REQUESTS": False,
            "TEST": {},
        },
        alias="jobs",
    )


KINDS = [_psycopg, _psycopg_block, _sqlalchemy, _sqlalchemy_session, _django]


@pytest.mark.parametrize("begin", KINDS)
def test_a_job_exists_if_and_only_if_its_transaction_commits(
    blocking: BlockingPublisher, flags: dict[str, Any], begin: Callable[[str], Any]
) -> None:
    with suppress(_RolledBack), begin(flags["postgres_url"]) as connection:
        lost = blocking.submit("demo.steps", {"steps": 1}, connection=connection)
        raise _RolledBack
    assert _stored(flags) == _NOTHING
    with begin(flags["postgres_url"]) as connection:
        job = blocking.submit("demo.steps", {"steps": 1}, connection=connection)
        assert (job.created, job.submitted) == (True, State.QUEUED)
        assert _stored(flags) == _NOTHING
    assert _stored(flags) == _ONE_JOB
    assert job.state() is State.QUEUED
    with pytest.raises(UnknownJob):
        lost.wait(timeout=5)


async def test_an_asynchronous_connection_is_used_in_the_same_way(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any], flags: dict[str, Any]
) -> None:
    await publisher.submit("demo.steps", connection=connection)
    await connection.rollback()
    assert _stored(flags) == _NOTHING
    engine = create_async_engine(
        flags["postgres_url"].replace("postgresql:", "postgresql+psycopg:")
    )
    async with engine.begin() as one, AsyncSession(engine) as two, two.begin():
        await publisher.submit("demo.steps", connection=one)
        await publisher.submit("demo.steps", connection=two)
    await engine.dispose()
    await publisher.submit("demo.steps", connection=connection)
    await connection.commit()
    assert _stored(flags) == {table: count * 3 for table, count in _ONE_JOB.items()}


async def test_the_same_key_in_a_transaction_is_the_same_job(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any], flags: dict[str, Any]
) -> None:
    large = {"text": "ä" * 50_000}
    first = await publisher.submit("demo.steps", large, idempotency_key="k", connection=connection)
    again = await publisher.submit("demo.steps", large, idempotency_key="k", connection=connection)
    assert (first.created, again.created) == (True, False)
    assert first.job_id == again.job_id
    await connection.commit()
    assert _stored(flags)["payloads"] == 1
    outside = await publisher.submit("demo.steps", large, idempotency_key="k")
    assert (outside.created, outside.job_id) == (False, first.job_id)
    found = await publisher.find_request(first.job_id)
    assert found is not None
    assert found.payload == large


async def test_another_body_is_refused_and_the_transaction_goes_on(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any], flags: dict[str, Any]
) -> None:
    await publisher.submit("demo.steps", {"a": 1}, idempotency_key="k")
    with pytest.raises(BodyConflict):
        await publisher.submit("demo.steps", {"a": 2}, idempotency_key="k", connection=connection)
    await publisher.submit("demo.steps", {"a": 3}, connection=connection)
    await connection.commit()
    assert _stored(flags)["trail"] == 2


async def test_a_wait_before_the_commit_is_refused_by_name(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any]
) -> None:
    job = await publisher.submit("demo.steps", connection=connection)
    for ask in (job.wait, job.state, job.cancel):
        with pytest.raises(ActionRefused, match="commit it first"):
            await ask()
    await connection.commit()
    assert await job.cancel() is State.CANCELLED


async def test_waiting_for_the_same_key_ends_with_the_users_own_lock_timeout(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any], postgres: PostgresServer
) -> None:
    await publisher.submit("demo.steps", idempotency_key="k", connection=connection)
    async with await psycopg.AsyncConnection.connect(postgres.url) as other:
        await other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await publisher.submit("demo.steps", idempotency_key="k", connection=other)
        await other.rollback()
    await connection.rollback()


async def test_a_serialization_failure_is_the_callers(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any]
) -> None:
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.execute("SELECT 1")
    await publisher.submit("demo.steps", idempotency_key="k")
    with pytest.raises(psycopg.errors.SerializationFailure):
        await publisher.submit("demo.steps", idempotency_key="k", connection=connection)


def test_workers_are_told_at_the_commit_only_where_the_submit_asks_for_it(
    blocking: BlockingPublisher, flags: dict[str, Any]
) -> None:
    url = flags["postgres_url"]
    with psycopg.connect(url, autocommit=True) as hearer:
        hearer.execute(f'LISTEN "{channel_of(flags["postgres_schema"])}"'.encode())

        def heard() -> list[str]:
            """Notifications up to one of our own, which the server delivers after all before it."""
            with psycopg.connect(url, autocommit=True) as session:
                channel = channel_of(flags["postgres_schema"])
                session.execute("SELECT pg_notify(%s, 'the last')", [channel])
            payloads: list[str] = []
            for notification in hearer.notifies(timeout=20):
                if notification.payload == "the last":
                    break
                payloads.append(notification.payload)
            return payloads

        for notify, expected in ((False, []), (True, ["default"])):
            with psycopg.connect(url) as connection:
                blocking.submit("demo.steps", connection=connection, notify=notify)
                assert heard() == []
                connection.commit()
                assert heard() == expected


async def test_others_go_on_while_a_transaction_holds_a_key(
    publisher: Publisher, connection: psycopg.AsyncConnection[Any]
) -> None:
    await publisher.submit("demo.steps", idempotency_key="held", connection=connection)
    held = asyncio.create_task(publisher.submit("demo.steps", idempotency_key="held"))
    others = [publisher.submit("demo.steps") for _ in range(5)]
    async with asyncio.timeout(20):
        assert all(job.created for job in await asyncio.gather(*others))
        with pytest.raises(BackendUnavailable, match="another transaction holds this row"):
            await held
        await connection.commit()
        assert not (await publisher.submit("demo.steps", idempotency_key="held")).created


async def test_what_cannot_be_a_part_of_a_transaction_is_refused_by_name(
    publisher: Publisher,
    blocking: BlockingPublisher,
    flags: dict[str, Any],
    tmp_path: Any,
) -> None:
    url = flags["postgres_url"]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DROP DATABASE IF EXISTS elsewhere")
        session.execute("CREATE DATABASE elsewhere")
    with psycopg.connect(url.replace("/postgres", "/elsewhere")) as elsewhere:
        with pytest.raises(InvalidRequest, match="another database"):
            blocking.submit("demo.steps", connection=elsewhere)
    with psycopg.connect(url, autocommit=True) as session:
        with pytest.raises(InvalidRequest, match="commits each statement by itself"):
            blocking.submit("demo.steps", connection=session)
    with pytest.raises(InvalidRequest, match="commits each statement by itself"):
        await asyncio.to_thread(
            lambda: blocking.submit("demo.steps", connection=_django_connection(url))
        )
    engine = sqlalchemy.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as session:
        with pytest.raises(InvalidRequest, match="commits each statement by itself"):
            blocking.submit("demo.steps", connection=session)
    engine.dispose()
    with sqlalchemy.create_engine("sqlite://").begin() as other:
        with pytest.raises(InvalidRequest, match="leads to sqlite"):
            blocking.submit("demo.steps", connection=other)
    with pytest.raises(InvalidRequest, match="cannot submit a job"):
        blocking.submit("demo.steps", connection=object())
    with psycopg.connect(url) as session:
        with pytest.raises(InvalidRequest, match="block this event loop"):
            await publisher.submit("demo.steps", connection=session)
    async with await psycopg.AsyncConnection.connect(url) as awaited:
        with pytest.raises(InvalidRequest, match="must be awaited"):
            await asyncio.to_thread(blocking.submit, "demo.steps", connection=awaited)
    embedded = Publisher.from_env(backend="embedded", data_dir=tmp_path)
    async with embedded:
        with pytest.raises(InvalidRequest, match="only postgres has transactions"):
            await embedded.submit("demo.steps", connection=object())
    assert _stored(flags) == _NOTHING


def test_a_restored_copy_of_the_fleets_database_is_another_database(
    blocking: BlockingPublisher, flags: dict[str, Any]
) -> None:
    """As a staging server that was filled from a backup."""
    url, schema = flags["postgres_url"], flags["postgres_schema"]
    with psycopg.connect(url, autocommit=True) as session:
        mark = session.execute(f"SELECT value FROM {schema}.meta WHERE name = 'fleet'".encode())  # noqa: S608
        database = f"restored_{schema}"
        session.execute(f"CREATE DATABASE {database}".encode())
        try:
            copy = url.replace("/postgres", f"/{database}")
            with BlockingPublisher.from_env(**(flags | {"postgres_url": copy})):
                """Its start makes the tables."""
            with psycopg.connect(copy, autocommit=True) as other:
                change = f"UPDATE {schema}.meta SET value = %s WHERE name = 'fleet'"  # noqa: S608
                other.execute(change.encode(), mark.fetchone())
            with psycopg.connect(copy) as other:
                with pytest.raises(InvalidRequest, match="leads to another database"):
                    blocking.submit("demo.steps", connection=other)
        finally:
            session.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())
    with psycopg.connect(url) as connection:
        assert blocking.submit("demo.steps", connection=connection).created


@pytest.mark.parametrize("bug", TRANSACTION_BUGS, ids=lambda bug: bug.name)
async def test_a_deliberate_bug_is_found(
    bug: TransactionBug,
    publisher: Publisher,
    blocking: BlockingPublisher,
    connection: psycopg.AsyncConnection[Any],
    flags: dict[str, Any],
) -> None:
    given = {
        "publisher": publisher,
        "blocking": blocking,
        "connection": connection,
        "flags": flags,
        "begin": _psycopg,
    }
    with bug.plant(flags):
        failure = await failure_of(globals()[bug.test], given)
    figures.bug(BugClass.OWN_TRANSACTION, bug.name, found=failure.startswith(bug.shows))
    assert failure.startswith(bug.shows), failure


@pytest.mark.chaos
def test_a_thousand_transactions_that_commit_roll_back_or_die_agree_with_their_jobs(
    blocking: BlockingPublisher, flags: dict[str, Any]
) -> None:
    random = Random(1)
    schema, url = flags["postgres_schema"], flags["postgres_url"]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(f"CREATE TABLE IF NOT EXISTS {schema}_orders (job_id text)".encode())
    for _ in range(1000):
        end = random.choice(["commit", "commit", "roll back", "die", "die in the commit"])
        connection = psycopg.connect(url)
        job = blocking.submit("demo.steps", connection=connection, notify=random.random() < 0.5)
        connection.execute(f"INSERT INTO {schema}_orders VALUES (%s)".encode(), [job.job_id])  # noqa: S608
        if end == "roll back":
            connection.rollback()
        if end == "die":
            cut(connection)
        if end == "die in the commit":
            killer = threading.Timer(random.uniform(0, 0.002), cut, [connection])
            killer.start()
            with suppress(psycopg.Error):
                connection.commit()
            killer.join()
        if end == "commit":
            connection.commit()
        connection.close()
    with psycopg.connect(url, autocommit=True) as session:
        wait_until(
            "no transaction is open",
            lambda: (
                session.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
                ).fetchone()
                == (0,)
            ),
            timeout_seconds=20,
        )
        orders = set(session.execute(f"SELECT job_id FROM {schema}_orders".encode()).fetchall())  # noqa: S608
        for table in ("trail", "open_jobs", "jobs", "messages"):
            column = "job_id" if table != "messages" else "body::json->>'jobId'"
            found = set(
                session.execute(f"SELECT {column} FROM {schema}.{table}".encode()).fetchall()  # noqa: S608
            )
            assert found == orders, table
        assert 400 < len(orders) < 900
        session.execute(f"DROP TABLE {schema}_orders".encode())
