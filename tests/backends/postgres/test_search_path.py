"""A function that somebody else made is never taken for the server's own.

In a database that began on PostgreSQL 14 or before, everyone may create functions in ``public``.
A statement that names ``unnest(...)`` alone, where ours take values of any type, would run theirs
with our rights.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

import jobfleet_backends.postgres
from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.postgres.session_threads import SessionThread
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_publisher import Publisher
from tests.worker.workshop import DEFAULTS, OPTIONS, Workshop

pytestmark = pytest.mark.servers

_OF_ANY_TYPE = """
SELECT DISTINCT proname FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
    AND proname NOT IN ('min', 'max', 'lower')  -- these have a form of their own for text
    AND EXISTS (
        SELECT 1 FROM unnest(coalesce(proallargtypes, proargtypes::oid[])) AS argument
        WHERE argument::regtype::text IN ('"any"', 'anyarray', 'anyelement', 'anynonarray',
            'anycompatible', 'anycompatiblearray', 'anyenum', 'anyrange')
    )
"""
_CALL = re.compile(r"(?<![\w.])([a-z_]+)\((?!\*)")
_TRAPS = (
    ("unnest(text[])", "SETOF text"),
    ("unnest(text[], text[])", "SETOF record"),
    ("count(bigint)", "bigint"),
    ("count(text)", "bigint"),
    ("count(jsonb)", "bigint"),
    ("array_agg(text)", "text[]"),
    ("concat_ws(text, text, oid, oid, xid)", "text"),
    ("format(text, text, text)", "text"),
)
_TRAP = """
CREATE FUNCTION public.{name} RETURNS {result} LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a trap ran as %', current_user; END $$
"""
_OPERATOR = """
CREATE FUNCTION public.joined(text, bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a trap ran as %', current_user; END $$;
CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = bigint, FUNCTION = public.joined)
"""


@pytest.fixture
def trapped(postgres: PostgresServer, settings: Settings) -> Iterator[Settings]:
    """A database whose schema ``public`` is full of functions that raise."""
    name = f"trapped_{uuid.uuid4().hex[:8]}"
    url = postgres.url.replace("/postgres", f"/{name}")
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        with psycopg.connect(url, autocommit=True) as session:
            for trap, result in _TRAPS:
                session.execute(_TRAP.format(name=trap, result=result).encode())
            session.execute(_OPERATOR.encode())
        yield settings.model_copy(update={"postgres_url": SecretStr(url)})
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
async def fleet(trapped: Settings) -> AsyncIterator[Workshop]:
    backend = await open_backend(trapped)
    workshop = Workshop(backend, SystemClock(), OPTIONS)
    yield workshop
    await workshop.close()
    await backend.close()


def _statements() -> str:
    folder = Path(str(jobfleet_backends.postgres.__file__)).parent
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.py")))


def test_functions_of_any_type_are_named_with_their_schema(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url) as session:
        of_any_type = {name for (name,) in session.execute(_OF_ANY_TYPE).fetchall()}
    assert {"unnest", "array_agg", "count", "concat_ws"} <= of_any_type
    assert {call for call in _CALL.findall(_statements()) if call in of_any_type} == set()


async def test_each_session_finds_the_servers_own_functions_alone(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    send = SessionThread._call

    def asked(self: SessionThread, session: Any, *rest: Any) -> Any:
        found.append(session.execute("SHOW search_path").fetchone())
        return send(self, session, *rest)

    monkeypatch.setattr(SessionThread, "_call", asked)
    await backend.probe()
    assert set(found) == {("pg_catalog, pg_temp",)}


async def test_a_job_runs_and_no_function_of_strangers(fleet: Workshop) -> None:
    fleet.start_worker()
    jobs = [await fleet.submit("demo.steps", {"steps": 1, "stepSeconds": 0}) for _ in range(3)]
    assert {(await fleet.until_ended(job)).status for job in jobs} == {"Completed"}
    assert [each for each in await fleet.real.probe() if not each.ok] == []
    await fleet.verified()


async def test_a_submit_on_a_users_connection_runs_no_function_of_strangers(
    fleet: Workshop, trapped: Settings
) -> None:
    publisher = Publisher(backend=fleet.real, clock=SystemClock(), defaults=DEFAULTS)
    url = trapped.postgres_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        first = await publisher.submit("x", connection=connection)
        again = await publisher.submit("x", job_id=first.job_id, connection=connection)
    assert (first.created, again.created) == (True, False)
