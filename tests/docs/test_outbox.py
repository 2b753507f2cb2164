"""The outbox of docs/idempotency.md, on SQLite and PostgreSQL, with a crash at each step."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text

from jobfleet_publisher.sync import Publisher
from tests.docs.sample_page import SamplePage


class Crash(Exception):
    """Ends the relay where it is."""


class Dying:
    """A publisher whose process ends with one of its submits."""

    def __init__(self, publisher: Publisher, *, at: int, is_answered: bool) -> None:
        self._publisher = publisher
        self._at = at
        self._is_answered = is_answered
        self._calls = 0

    def submit(self, *values: Any, **options: Any) -> None:
        self._calls += 1
        if self._calls == self._at and not self._is_answered:
            raise Crash
        self._publisher.submit(*values, **options)
        if self._calls == self._at:
            raise Crash


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    page = SamplePage("docs/idempotency.md")
    page.write(tmp_path, replacing={})
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("outbox")
    page.forget()


@contextmanager
def opened(url: str, schema: str | None) -> Iterator[Engine]:
    if schema is None:
        engine = create_engine(url)
    else:
        engine = create_engine(url, connect_args={"options": f"-csearch_path={schema}"})
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield engine
    if schema is not None:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def engine(request: pytest.FixtureRequest, tmp_path: Path, outbox: ModuleType) -> Iterator[Engine]:
    if request.param == "sqlite":
        made = opened(f"sqlite:///{tmp_path / 'orders.db'}", None)
    else:
        url: str = request.getfixturevalue("postgres").url
        made = opened(url.replace("postgresql://", "postgresql+psycopg://"), f"t{uuid4().hex}")
    with made as engine:
        outbox.metadata.create_all(engine)
        yield engine


def test_a_job_is_submitted_once_whatever_the_relay_survives(
    tmp_path: Path, outbox: ModuleType, engine: Engine
) -> None:
    with engine.begin() as connection:
        for number in range(3):
            outbox.add(connection, "order.pay", {"order": number})
    with Publisher(data_dir=tmp_path / "fleet") as publisher:
        for at, is_answered in ((1, False), (2, True), (3, True)):
            with pytest.raises(Crash):
                outbox.relay(engine, Dying(publisher, at=at, is_answered=is_answered))
        assert outbox.relay(engine, publisher) == 3
        assert outbox.relay(engine, publisher) == 0
        assert sorted(orders(publisher)) == [0, 1, 2]


def test_a_transaction_that_is_rolled_back_leaves_no_job(
    tmp_path: Path, outbox: ModuleType, engine: Engine
) -> None:
    with engine.connect() as connection:
        outbox.add(connection, "order.pay", {"order": 1})
        connection.rollback()
    with Publisher(data_dir=tmp_path / "fleet") as publisher:
        assert outbox.relay(engine, publisher) == 0
        assert orders(publisher) == []


def orders(publisher: Publisher) -> list[int]:
    """Return the order of each job of the fleet."""

    async def found(open_: Any) -> list[int]:
        trail = open_._opened.backend.trail
        return [history[0].data["request"]["payload"]["order"] async for history in trail.scan()]

    return publisher._run(found)
