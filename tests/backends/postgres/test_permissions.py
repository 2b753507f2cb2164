"""With the grants that docs/postgresql.md names, each role can do what the page says."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.postgres.probe import NEEDED
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendForbidden, BackendUnavailable
from jobfleet_contracts.state import State
from jobfleet_publisher import Publisher
from tests.conformance.jobs import a_life

pytestmark = pytest.mark.servers

_PAGE = Path(__file__).parents[3] / "docs" / "postgresql.md"
_GRANT = re.compile(r"`([A-Z, ]+)(\([a-z, ]+\))?` on ((?:`\w+`(?:, | and )?)+|all other tables)")


def _grants(role: str) -> dict[str, str]:
    """Return what the page's table names for a role: the privileges on each table."""
    row = next(line for line in _PAGE.read_text().splitlines() if line.startswith(f"| {role} |"))
    found: dict[str, str] = {}
    for privileges, columns, tables in _GRANT.findall(row):
        names = re.findall(r"`(\w+)`", tables) if "`" in tables else NEEDED.keys() - found.keys()
        for name in names:
            wanted = privileges.strip() + (f" {columns}" if columns else "")
            found[name] = f"{found[name]}, {wanted}" if name in found else wanted
    assert found
    return found


class _Role:
    """A role of the server's that may do nothing yet."""

    def __init__(self, session: psycopg.Connection[Any], settings: Settings) -> None:
        self.name = f"role_{uuid.uuid4().hex[:8]}"
        self._session, self._schema = session, settings.postgres_schema
        session.execute(f"CREATE ROLE {self.name} LOGIN".encode())
        session.execute(f"GRANT USAGE ON SCHEMA {self._schema} TO {self.name}".encode())
        self.url = settings.postgres_url.get_secret_value().replace("jobfleet@", f"{self.name}@")
        self.settings = settings.model_copy(update={"postgres_url": SecretStr(self.url)})

    def grant(self, grants: dict[str, str]) -> None:
        for table, privileges in grants.items():
            statement = f"GRANT {privileges} ON {self._schema}.{table} TO {self.name}"
            self._session.execute(statement.encode())

    def drop(self) -> None:
        self._session.execute(f"DROP OWNED BY {self.name}".encode())
        self._session.execute(f"DROP ROLE {self.name}".encode())


@pytest.fixture
def role(postgres: PostgresServer, settings: Settings, backend: Backend) -> Iterator[_Role]:
    with psycopg.connect(postgres.url, autocommit=True) as session:
        role = _Role(session, settings)
        yield role
        role.drop()


async def test_a_program_that_submits_jobs_also_in_its_own_transactions(role: _Role) -> None:
    role.grant(_grants("program that submits jobs"))
    backend = await open_backend(role.settings)
    publisher = Publisher(backend=backend, clock=SystemClock(), defaults=role.settings.job_defaults)
    large = {"text": "ä" * 50_000}
    try:
        first = await publisher.submit("x", large, idempotency_key="k", lock_key="l", limits=["n"])
        again = await publisher.submit("x", large, idempotency_key="k", lock_key="l", limits=["n"])
        assert (first.created, again.created) == (True, False)
        assert await first.state() is State.QUEUED
        async with await psycopg.AsyncConnection.connect(role.url) as connection:
            own = await publisher.submit("x", large, connection=connection, notify=True)
            await publisher.submit("x", large, job_id=own.job_id, connection=connection)
        assert await own.state() is State.QUEUED
    finally:
        await backend.close()


async def test_a_cancel_without_the_permission_names_it_and_goes_on_with_it(
    role: _Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_protocol.actions.answer_limit.ANSWER_SECONDS", 1.0)
    role.grant(_grants("program that submits jobs"))
    backend = await open_backend(role.settings)
    publisher = Publisher(backend=backend, clock=SystemClock(), defaults=role.settings.job_defaults)
    try:
        job = await publisher.submit("x")
        with pytest.raises(BackendUnavailable, match="lacks a permission; see the gra") as refused:
            await job.cancel()
        assert "permission denied for table" in str(refused.value)
        role.grant(NEEDED)
        async with asyncio.timeout(60):
            while await job.state() is not State.CANCELLED:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await backend.close()


async def test_a_worker_passes_its_probe(role: _Role) -> None:
    role.grant(_grants("worker, dashboard"))
    backend = await open_backend(role.settings)
    try:
        (probe,) = await backend.probe()
        assert probe.ok, probe
        await backend.trail.insert(a_life())
    finally:
        await backend.close()


async def test_a_reader_reads_and_writes_nothing(role: _Role, backend: Backend) -> None:
    await backend.trail.insert(life := a_life())
    role.grant(dict.fromkeys(NEEDED, "SELECT"))
    reading = await open_backend(role.settings)
    try:
        assert await reading.trail.newest(life[0].job_id) is not None
        assert await reading.queue.depths() is not None
        with pytest.raises(BackendForbidden, match="lacks a permission"):
            await reading.trail.insert(a_life())
    finally:
        await reading.close()


async def test_a_program_in_another_language_sets_the_request_alone(role: _Role) -> None:
    role.grant(_grants("program in another language that submits jobs"))
    schema = role.settings.postgres_schema
    insert = "INSERT INTO {0}.messages (queue, lane, {1}) VALUES ('default', 1, '{{}}')"
    with psycopg.connect(role.url, autocommit=True) as session:
        session.execute(insert.format(schema, "body").encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(insert.format(schema, "hints").encode())
