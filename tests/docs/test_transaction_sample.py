"""The program of docs/postgresql.md: an order and its job are stored together, or neither is."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from devtools.local_fleet import LocalFleet
from devtools.servers import PostgresServer
from jobfleet_publisher.sync import Publisher
from tests.docs.sample_page import SamplePage, run_program

pytestmark = pytest.mark.servers


@pytest.fixture
def flags(postgres: PostgresServer, postgres_schema: str) -> dict[str, Any]:
    return {
        "backend": "postgres",
        "postgres_url": postgres.url,
        "postgres_schema": postgres_schema,
    }


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The address of a shop's own tables, beside those of the fleet."""
    schema = f"t{uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as session:
        session.execute(f"CREATE SCHEMA {schema}")
        session.execute(f"CREATE TABLE {schema}.orders (number integer PRIMARY KEY)")
        joint = "&" if "?" in postgres.url else "?"
        yield f"{postgres.url}{joint}options=-csearch_path%3D{schema}"
        session.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def place_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, flags: dict[str, Any]
) -> Iterator[ModuleType]:
    for name, value in flags.items():
        monkeypatch.setenv(f"JOBFLEET_{name.upper()}", value)
    page = SamplePage("docs/postgresql.md")
    page.write(tmp_path, replacing={"postgresql://localhost/shop": database})
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("place_order")
    page.forget()


async def test_a_worker_confirms_the_order_that_the_program_places(
    tmp_path: Path, place_order: ModuleType, flags: dict[str, Any]
) -> None:
    handlers = ("tests.docs.order_handlers",)
    fleet = LocalFleet(data_dir=tmp_path / "fleet", handlers=handlers, changes=flags)
    await asyncio.to_thread(fleet.start)
    try:
        assert await run_program(place_order) == 1
    finally:
        await asyncio.to_thread(fleet.stop)
    assert _orders(place_order) == [7]


def test_an_order_that_is_refused_leaves_no_job(
    place_order: ModuleType, postgres: PostgresServer, postgres_schema: str
) -> None:
    with Publisher.from_env() as publisher:
        job = place_order.place_order(7, publisher)
        with pytest.raises(psycopg.errors.UniqueViolation):
            place_order.place_order(7, publisher)
        with psycopg.connect(postgres.url) as session:
            found = session.execute(f"SELECT job_id::text FROM {postgres_schema}.trail").fetchall()  # noqa: S608
        assert found == [(job.job_id,)]
    assert _orders(place_order) == [7]


def _orders(program: ModuleType) -> list[int]:
    with psycopg.connect(program.DATABASE) as session:
        return [number for (number,) in session.execute("SELECT number FROM orders")]
