"""Wrong addresses, missing rights, a schema changed by hand: each is named with its remedy."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import migrate_backend, open_backend
from jobfleet_backends.postgres.connection import Address
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.probe import NEEDED
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import (
    BackendError,
    BackendForbidden,
    BackendUnavailable,
    SettingsError,
)
from jobfleet_publisher import Publisher
from tests.conformance.jobs import a_life, queued

pytestmark = pytest.mark.servers


@pytest.fixture
def session(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as session:
        yield session


@pytest.fixture
def guarded(session: psycopg.Connection[Any], postgres: PostgresServer) -> Iterator[str]:
    """URL of a role that needs its password, ``right``, and may do nothing yet."""
    role = f"guarded_{uuid.uuid4().hex[:8]}"
    if not session.execute("SELECT 1 FROM pg_roles WHERE rolname = 'guarded'").fetchone():
        session.execute("CREATE ROLE guarded")
    session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right' IN ROLE guarded".encode())
    yield postgres.url.replace("jobfleet@", f"{role}:right@")
    session.execute(f"DROP OWNED BY {role}".encode())
    session.execute(f"DROP ROLE {role}".encode())


async def _refusal(settings: Settings) -> str:
    with pytest.raises(SettingsError) as refused:
        await open_backend(settings)
    return str(refused.value)


async def test_an_address_that_is_none_is_refused_without_repeating_it(settings: Settings) -> None:
    for url in ("postgresql://user:pa ss@[::1/x", "nonsense", "http://u:secret@h/"):
        refusal = await _refusal(settings.model_copy(update={"postgres_url": SecretStr(url)}))
        assert refusal.startswith("JOBFLEET_POSTGRES_URL: is not an address of PostgreSQL")
        assert "secret" not in refusal
        assert "pa ss" not in refusal


async def test_a_wrong_password_and_a_missing_database_are_named(
    settings: Settings, guarded: str
) -> None:
    wrong = settings.model_copy(update={"postgres_url": SecretStr(guarded.replace("right", "no"))})
    assert "check user and password in JOBFLEET_POSTGRES_URL" in await _refusal(wrong)
    url = settings.postgres_url.get_secret_value().replace("/postgres", "/nowhere")
    missing = settings.model_copy(update={"postgres_url": SecretStr(url)})
    assert "has no such database; create it, or name another one" in await _refusal(missing)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("jobfleet@", "no_such_role@", "check user and password in JOBFLEET_POSTGRES_URL"),
        ("/postgres", "/postgres?sslmode=maybe", "correct JOBFLEET_POSTGRES_URL"),
        ("/postgres", "/postgres?options=-c%20no_such%3D1", "correct JOBFLEET_POSTGRES_URL"),
        (r":(\d+)/", ":99999/", "correct JOBFLEET_POSTGRES_URL"),
    ],
)
async def test_what_no_waiting_mends_ends_the_start(
    settings: Settings, old: str, new: str, message: str
) -> None:
    url = re.sub(old, new, settings.postgres_url.get_secret_value())
    assert message in await _refusal(settings.model_copy(update={"postgres_url": SecretStr(url)}))


async def test_a_database_of_another_encoding_is_refused(
    settings: Settings, session: psycopg.Connection[Any]
) -> None:
    session.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        url = settings.postgres_url.get_secret_value().replace("/postgres", "/latin")
        refusal = await _refusal(settings.model_copy(update={"postgres_url": SecretStr(url)}))
        assert "database latin has encoding LATIN1, and jobfleet needs UTF8" in refusal
    finally:
        session.execute("DROP DATABASE latin")


async def test_what_a_role_has_as_its_defaults_changes_no_value(
    settings: Settings, guarded: str, session: psycopg.Connection[Any]
) -> None:
    role, schema = re.findall("guarded_[0-9a-f]+", guarded)[0], settings.postgres_schema
    session.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
    session.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}".encode())
    for name, value in (
        ("datestyle", "SQL, DMY"),
        ("timezone", "Asia/Kolkata"),
        ("client_encoding", "LATIN1"),
        ("bytea_output", "escape"),
        ("default_transaction_isolation", "serializable"),
    ):
        session.execute(f"ALTER ROLE {role} SET {name} = '{value}'".encode())
    event = replace(queued(), message="€ 日本")
    backend = await open_backend(
        settings.model_copy(update={"postgres_url": SecretStr(f"{guarded}?client_encoding=LATIN1")})
    )
    try:
        await backend.trail.insert([event])
        assert await backend.trail.read(event.job_id, 1) == event
        await backend.payloads.put("name", bytes(range(256)))
        assert await backend.payloads.get("name") == bytes(range(256))
    finally:
        await backend.close()


async def test_a_server_that_takes_no_writes_is_named_and_the_one_that_does_is_found(
    settings: Settings, guarded: str, session: psycopg.Connection[Any]
) -> None:
    """As a standby does. Of several hosts the one that takes writes is used."""
    role, schema = re.findall("guarded_[0-9a-f]+", guarded)[0], settings.postgres_schema
    session.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
    session.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}".encode())
    session.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on".encode())
    backend = await open_backend(settings.model_copy(update={"postgres_url": SecretStr(guarded)}))
    try:
        with pytest.raises(BackendUnavailable) as refused:
            await backend.trail.insert([queued()])
        (probe,) = await backend.probe()
        for text in (str(refused.value), probe.detail):
            assert "is a read-only standby" in text
            assert "point JOBFLEET_POSTGRES_URL at the primary" in text
        assert not probe.remedy  # it stands in the message
    finally:
        await backend.close()
    session.execute(f"ALTER ROLE {role} RESET default_transaction_read_only".encode())
    port = re.findall(r":(\d+)/", guarded)[0]
    cluster = guarded.replace(f"127.0.0.1:{port}", f"127.0.0.1:1,127.0.0.1:{port}")
    backend = await open_backend(settings.model_copy(update={"postgres_url": SecretStr(cluster)}))
    try:
        await backend.trail.insert([queued()])
    finally:
        await backend.close()


async def test_a_role_that_may_not_make_the_schema_is_told_to_migrate(
    settings: Settings, guarded: str
) -> None:
    update = {"postgres_url": SecretStr(guarded), "postgres_schema": "not_there"}
    assert "run `jobfleet migrate` as the owner" in await _refusal(
        settings.model_copy(update=update)
    )


async def test_the_probe_names_each_missing_permission(
    settings: Settings, guarded: str, session: psycopg.Connection[Any]
) -> None:
    role = re.findall("guarded_[0-9a-f]+", guarded)[0]
    schema = settings.postgres_schema
    session.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
    session.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}".encode())
    opened = settings.model_copy(update={"postgres_url": SecretStr(guarded)})
    backend = await open_backend(opened)
    try:
        (probe,) = await backend.probe()
        assert not probe.ok
        assert f"INSERT on {schema}.trail" in probe.detail
        for table, rights in NEEDED.items():
            session.execute(f"GRANT {rights} ON {schema}.{table} TO {role}".encode())
        (probe,) = await backend.probe()
        assert probe.ok, probe
        await backend.trail.insert(a_life())
        assert backend.retention is not None
        with pytest.raises(BackendForbidden, match=f"role {role} may not UPDATE rows of trail"):
            await backend.retention.check_rights()
        for table in ("trail", "errors"):
            session.execute(f"GRANT UPDATE ON {schema}.{table} TO {role}".encode())
        await backend.retention.check_rights()
    finally:
        await backend.close()


async def test_the_probe_knows_every_table(
    settings: Settings, session: psycopg.Connection[Any]
) -> None:
    rows = session.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s", (settings.postgres_schema,)
    ).fetchall()
    assert {name for (name,) in rows} == NEEDED.keys()


async def test_a_role_that_may_only_insert_and_read_the_trail_cannot_change_it(
    backend: Backend, settings: Settings, session: psycopg.Connection[Any], guarded: str
) -> None:
    await backend.trail.insert(a_life())
    role, schema = re.findall("guarded_[0-9a-f]+", guarded)[0], settings.postgres_schema
    session.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
    session.execute(f"GRANT SELECT, INSERT ON {schema}.trail TO {role}".encode())
    with psycopg.connect(guarded, autocommit=True) as their:
        for change in ("UPDATE {0} SET message = ''", "DELETE FROM {0}", "TRUNCATE {0}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                their.execute(change.format(f"{schema}.trail").encode())
    for change in ("UPDATE {0} SET message = ''", "DELETE FROM {0}", "TRUNCATE {0}"):
        with pytest.raises(psycopg.errors.RaiseException, match="never changed or removed"):
            session.execute(change.format(f"{schema}.trail").encode())


async def test_a_role_that_does_not_wait_for_the_disk_waits_for_it_here(
    settings: Settings, guarded: str, session: psycopg.Connection[Any]
) -> None:
    role, schema = re.findall("guarded_[0-9a-f]+", guarded)[0], settings.postgres_schema
    session.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
    session.execute(f"GRANT SELECT ON {schema}.meta TO {role}".encode())
    session.execute(f"ALTER ROLE {role} SET synchronous_commit = off".encode())
    database = Database(address=Address(guarded), schema=schema, clock=SystemClock())
    database.open()
    try:
        assert await database.change("SHOW synchronous_commit") == [("on",)]
    finally:
        await database.close()


async def test_a_schema_changed_by_hand_is_named_and_heals(
    backend: Backend, settings: Settings, session: psycopg.Connection[Any]
) -> None:
    schema = settings.postgres_schema
    session.execute(f"ALTER TABLE {schema}.trail RENAME COLUMN message TO moved".encode())
    try:
        with pytest.raises(BackendUnavailable, match="lacks a column of this release"):
            await backend.trail.insert([queued()])
    finally:
        session.execute(f"ALTER TABLE {schema}.trail RENAME COLUMN moved TO message".encode())
    await backend.trail.insert([queued()])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE {0}.trail DROP CONSTRAINT trail_pkey", "lacks primary key trail_pkey: undo"),
        ("DROP TRIGGER trail_is_never_rewritten ON {0}.trail", "lacks trigger trail_is_never_re"),
        ("ALTER TABLE {0}.jobs DISABLE TRIGGER ALL", "lacks trigger jobs_counted_at_insert, "),
        ("DROP INDEX {0}.jobs_by_state", "lacks index jobs_by_state: lists are slow"),
    ],
)
async def test_the_probe_names_what_a_hand_has_taken_away(
    session: psycopg.Connection[Any], settings: Settings, change: str, message: str
) -> None:
    schema = f"changed_{uuid.uuid4().hex[:8]}"
    backend = await open_backend(settings.model_copy(update={"postgres_schema": schema}))
    try:
        (before,) = await backend.probe()
        assert before.ok
        assert "lacks" not in before.detail
        session.execute(change.format(schema).encode())
        (probe,) = await backend.probe()
        assert message in probe.detail
        assert probe.ok == ("INDEX" in change)
    finally:
        await backend.close()
        session.execute(f"DROP SCHEMA {schema} CASCADE".encode())


async def test_migrating_again_does_nothing(settings: Settings) -> None:
    assert migrate_backend(settings) == []


async def test_a_value_that_no_row_can_hold_spoils_no_other(backend: Backend) -> None:
    bad = replace(queued(), message="a\0b")
    results = await asyncio.gather(
        *(backend.trail.insert([event]) for event in (queued(), bad, queued())),
        return_exceptions=True,
    )
    assert [result is None for result in results] == [True, False, True]
    assert not isinstance(results[1], BackendError)


async def test_a_statement_that_the_server_cancels_names_the_setting_and_a_later_one_works(
    settings: Settings, session: psycopg.Connection[Any]
) -> None:
    impatient = await open_backend(_with_option(settings, "statement_timeout=200"))
    try:
        await impatient.trail.insert([queued()])
        with session.transaction():
            session.execute(f"LOCK TABLE {settings.postgres_schema}.trail".encode())
            with pytest.raises(BackendUnavailable, match="check its statement_timeout"):
                await impatient.trail.insert([queued()])
        await impatient.trail.insert([queued()])
    finally:
        await impatient.close()


async def test_sessions_that_the_server_ends_while_they_are_idle_are_opened_again(
    settings: Settings, session: psycopg.Connection[Any]
) -> None:
    """No transaction of jobfleet's own is ever idle, so only the sessions themselves are ended."""
    options = "application_name=idle-test -c idle_in_transaction_session_timeout=100"
    look = _END
    if session.info.server_version >= _IDLE_SESSION_TIMEOUT:
        options, look = f"{options} -c idle_session_timeout=100", _IDLE
    backend = await open_backend(_with_option(settings, options))
    try:
        for _ in range(3):
            await backend.trail.insert([queued()])
            async with asyncio.timeout(30):
                while session.execute(look).fetchall():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    finally:
        await backend.close()


async def test_a_transaction_of_the_submitters_that_was_idle_for_too_long_made_no_job(
    settings: Settings, backend: Backend, session: psycopg.Connection[Any]
) -> None:
    publisher = Publisher(backend=backend, clock=SystemClock(), defaults=settings.job_defaults)
    url = _with_option(settings, "idle_in_transaction_session_timeout=50").postgres_url
    async with await psycopg.AsyncConnection.connect(url.get_secret_value()) as connection:
        job = await publisher.submit("x", connection=connection)
        own = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        async with asyncio.timeout(30):
            while session.execute(own, [connection.info.backend_pid]).fetchall():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        with pytest.raises(psycopg.Error, match="idle-in-transaction timeout"):
            await connection.commit()
    assert await backend.trail.newest(job.job_id) is None


_IDLE_SESSION_TIMEOUT = 140_000
"""The server's version that came with the setting; before it the test ends the sessions."""
_IDLE = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'idle-test'"
_END = f"SELECT pg_terminate_backend(pid) {_IDLE.removeprefix('SELECT 1 ')}"


def _with_option(settings: Settings, option: str) -> Settings:
    url = settings.postgres_url.get_secret_value()
    return settings.model_copy(
        update={"postgres_url": SecretStr(f"{url}?options={quote(f'-c {option}')}")}
    )
