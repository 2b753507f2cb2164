"""Migrations: expand first, refuse only those that cannot work on the schema, repeatable."""

from __future__ import annotations

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.postgres.audit_trail import EVENT_NAMES
from jobfleet_backends.postgres.migrations import (
    MIGRATIONS,
    Migration,
    check_version,
    migrate,
    read_version,
)
from jobfleet_backends.settings import Settings
from jobfleet_backends.sql.row_codec import event_to_row
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.errors import BackendForbidden, ReleaseTooOld, SettingsError
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from tests.conformance.jobs import queued
from tests.polling import eventually
from tests.worker.workshop import OPTIONS, Workshop

pytestmark = pytest.mark.servers

EXPANDED = Migration(
    2,
    "ALTER TABLE jobfleet.workers ADD COLUMN note text;",
    indexes=("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_note ON jobfleet.workers (note)",),
)
CONTRACTED = Migration(3, "ALTER TABLE jobfleet.workers DROP COLUMN started_at;", oldest_code=2)
CLOSED = Migration(3, "SELECT 1;", oldest_code=2)
"""Takes nothing that the code of today reads, so that it can stand for the newer release too."""


@pytest.fixture
def session(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as session:
        yield session


@pytest.fixture
def schema(session: psycopg.Connection[Any]) -> Iterator[str]:
    schema = f"migrated_{uuid.uuid4().hex[:8]}"
    yield schema
    session.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


def _works(session: psycopg.Connection[Any], schema: str, *, code: int) -> bool:
    try:
        check_version(read_version(session, schema), schema, code=code)
    except BackendForbidden:
        return False
    return True


def test_old_and_new_code_work_beside_each_other_until_a_migration_takes_something_away(
    session: psycopg.Connection[Any], schema: str
) -> None:
    assert not _works(session, schema, code=1)
    assert migrate(session, schema) == [1]
    assert [_works(session, schema, code=code) for code in (1, 2, 3)] == [True, False, False]
    assert migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED)) == [2]
    assert [_works(session, schema, code=code) for code in (1, 2, 3)] == [True, True, False]
    assert migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED, CONTRACTED)) == [3]
    assert [_works(session, schema, code=code) for code in (1, 2, 3)] == [False, True, True]
    assert migrate(session, schema) == []  # an older release's command lowers nothing


@asynccontextmanager
async def _release(
    settings: Settings, patch: pytest.MonkeyPatch, *, code: int
) -> AsyncIterator[Workshop]:
    """A worker of the release with this version of the code, and a client."""
    defaults = check_version.__kwdefaults__
    assert defaults is not None
    with patch.context() as release:
        release.setitem(defaults, "code", code)
        backend = await open_backend(settings)
        workshop = Workshop(backend, SystemClock(), OPTIONS)
        workshop.start_worker(worker_id=f"of release {code}", drain_seconds=120)
        try:
            yield workshop
        finally:
            await workshop.close()
            await backend.close()


async def _runs_a_job(workshop: Workshop) -> str | None:
    head = await workshop.run("demo.steps", {"steps": 1, "stepSeconds": 0})
    assert head.status == "Completed"
    return head.worker_id


async def test_workers_of_two_releases_run_jobs_while_the_schema_is_raised_under_them(
    session: psycopg.Connection[Any],
    postgres: PostgresServer,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(
        backend="postgres", postgres_url=SecretStr(postgres.url), postgres_schema=schema
    )
    async with _release(settings, monkeypatch, code=1) as old:
        await _runs_a_job(old)
        assert migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED)) == [2]
        assert await _runs_a_job(old) == "of release 1"  # it runs on over the migration
    async with _release(settings, monkeypatch, code=1) as old:
        assert await _runs_a_job(old) == "of release 1"  # started again after it
    async with _release(settings, monkeypatch, code=2) as new:
        assert await _runs_a_job(new) == "of release 2"
        assert migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED, CLOSED)) == [3]
        assert await _runs_a_job(new) == "of release 2"
    with pytest.raises(SettingsError, match=r"needs a release with version 2 at least.*upgrade it"):
        async with _release(settings, monkeypatch, code=1):
            pass
    async with _release(settings, monkeypatch, code=2) as new:
        assert await _runs_a_job(new) == "of release 2"
        await new.verified()


async def test_a_running_worker_whose_release_is_shut_out_drains_and_says_why(
    session: psycopg.Connection[Any],
    postgres: PostgresServer,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its sessions stay open over the migration: they alone would never tell.

    Its row says that it drains, and its job goes on under a lease: here the first renewal, whose
    session is opened then, comes after the migration.
    """
    settings = Settings(
        backend="postgres", postgres_url=SecretStr(postgres.url), postgres_schema=schema
    )
    async with _release(settings, monkeypatch, code=1) as old:
        (worker,) = old._workers
        job = await old.submit("demo.steps", {"steps": 100, "stepSeconds": 0.1})
        await old.until_state(job, State.RUNNING)
        migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED, CLOSED))

        async def drains() -> WorkerStatus | None:
            (row,) = await old.real.directory.workers(with_stopped=True)
            return row if row.draining else None

        first = await eventually("the worker's row says that it drains", drains)

        async def beats() -> bool:
            (row,) = await old.real.directory.workers(with_stopped=True)
            return row.heartbeat_at > first.heartbeat_at

        await eventually("the worker's row is still written", beats)
        assert first.stopped_at is None
        assert first.running[0].job_id == job
        with pytest.raises(ReleaseTooOld, match=r"needs a release with version 2.*upgrade it"):
            await worker.ended()
        assert (await old.head(job)).status == "Completed"
        (row,) = await old.real.directory.workers(with_stopped=True)
        assert row.stopped_at is not None
        await old.verified()


def test_each_refusal_names_the_remedy(session: psycopg.Connection[Any], schema: str) -> None:
    with pytest.raises(BackendForbidden, match="holds no tables; run `jobfleet migrate`"):
        check_version(read_version(session, schema), schema)
    migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED, CONTRACTED))
    with pytest.raises(BackendForbidden, match="upgrade it"):
        check_version(read_version(session, schema), schema, code=1)
    with pytest.raises(BackendForbidden, match="this release needs 4; run `jobfleet migrate`"):
        check_version(read_version(session, schema), schema, code=4)


def test_a_step_that_fails_leaves_nothing_and_can_be_repeated(
    session: psycopg.Connection[Any], schema: str
) -> None:
    broken = Migration(2, "CREATE TABLE jobfleet.half (x int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(session, schema, migrations=(*MIGRATIONS, broken))
    assert read_version(session, schema) is None
    assert migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED)) == [1, 2]


def test_an_index_that_was_left_half_made_is_made_again(
    session: psycopg.Connection[Any], schema: str
) -> None:
    migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED))
    session.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
        (f"{schema}.by_note",),
    )
    migrate(session, schema, migrations=(*MIGRATIONS, EXPANDED))
    valid = session.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", (f"{schema}.by_note",)
    )
    assert valid.fetchone() == (True,)


def test_rows_restored_from_another_servers_dump_do_not_hide_new_events(
    session: psycopg.Connection[Any], schema: str
) -> None:
    migrate(session, schema)
    columns = [
        name
        for (name,) in session.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s "
            "AND table_name = 'trail' AND is_nullable = 'NO' "
            "AND column_name NOT IN ('position', 'xid')",
            (schema,),
        ).fetchall()
    ]
    event = dict(zip(EVENT_NAMES, event_to_row(queued()), strict=True))
    values = [event[name] for name in columns]
    session.execute(
        f"INSERT INTO {schema}.trail (xid, {', '.join(columns)}) "  # noqa: S608
        f"VALUES ('999999999999', {', '.join(['%s'] * len(columns))})".encode(),
        values,
    )
    ahead = f"SELECT count(*) FROM {schema}.trail WHERE xid > '1000000000'".encode()  # noqa: S608
    assert session.execute(ahead).fetchone() == (1,)
    assert migrate(session, schema) == []
    assert session.execute(ahead).fetchone() == (0,)
    with pytest.raises(psycopg.errors.RaiseException):
        session.execute(f"UPDATE {schema}.trail SET message = ''".encode())  # noqa: S608


def test_many_processes_may_migrate_at_once(postgres: PostgresServer, schema: str) -> None:
    passed: list[list[int]] = []

    def one() -> None:
        with psycopg.connect(postgres.url, autocommit=True) as session:
            passed.append(migrate(session, schema))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(passed) == [[], [], [], [1]]
