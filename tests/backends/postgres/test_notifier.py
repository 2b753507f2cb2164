"""Notifications: the first goes out with the commit, and one that fails spoils nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from jobfleet_backends.postgres import notifier, session_threads
from jobfleet_backends.postgres.connection import Address
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_backends.postgres.notifier import Notifier
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from tests.conformance.deliveries import consuming, received
from tests.conformance.jobs import a_message

pytestmark = pytest.mark.servers


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(
        address=Address(settings.postgres_url.get_secret_value()),
        schema=settings.postgres_schema,
        clock=SystemClock(),
    )
    database.open()
    yield database
    await database.close()


def _listening(settings: Settings) -> psycopg.Connection[tuple[object, ...]]:
    session = psycopg.connect(settings.postgres_url.get_secret_value(), autocommit=True)
    session.execute(f'LISTEN "{channel_of(settings.postgres_schema)}"'.encode())
    return session


async def _heard(session: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    found = await asyncio.to_thread(lambda: list(session.notifies(timeout=120, stop_after=1)))
    return [each.payload for each in found]


async def test_the_first_notification_of_a_queue_needs_no_request_of_its_own(
    backend: Backend, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notifier, "notify", lambda _self, _payload: None)
    with _listening(settings) as session:
        await backend.queue.publish(a_message())
        assert await _heard(session) == ["default"]


async def test_the_next_one_within_the_pause_is_sent_after_it(
    database: Database, settings: Settings
) -> None:
    own = Notifier(database=database)
    with _listening(settings) as session:
        sent = [own.with_commit("a")]
        while sent[-1] is not None:  # a busy machine may need longer than the pause for a call
            sent.append(own.with_commit("a"))
        assert own.with_commit("b") == "b"
        assert own.with_commit(None) is None
        own.notify("a")
        assert await _heard(session) == ["a"]
        await own.close()


async def test_a_notification_that_fails_spoils_no_commit(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the server's queue of notifications were full."""
    failing = "SELECT 1 / 0, pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload"
    monkeypatch.setattr(session_threads, "NOTIFY", failing)
    monkeypatch.setattr(notifier, "PAUSE_SECONDS", 0)
    messages = [a_message() for _ in range(3)]
    for message in messages:
        await backend.queue.publish(message)
    async with consuming(backend) as consumer:
        taken = await received(consumer, 3)
        assert [delivery.message for delivery in taken] == messages
        assert list(await consumer.receive(1, timedelta(seconds=0.3))) == []
