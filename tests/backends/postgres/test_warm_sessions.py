"""A process that asks one thing after the other uses one session for each kind of work."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sql.warm_queue import WarmQueue
from tests.conformance.jobs import queued


@pytest.fixture
def session(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as session:
        yield session


async def _opened(settings: Settings, session: psycopg.Connection[Any]) -> int:
    name = f"warm-{uuid.uuid4().hex[:8]}"
    url = f"{settings.postgres_url.get_secret_value()}?application_name={name}"
    backend = await open_backend(settings.model_copy(update={"postgres_url": SecretStr(url)}))
    try:
        for _ in range(10):
            event = queued()
            await backend.trail.insert([event])
            await backend.trail.newest(event.job_id)
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        [(opened,)] = session.execute(ours, [name]).fetchall()
        return int(opened)
    finally:
        await backend.close()


@pytest.mark.servers
async def test_requests_one_after_the_other_open_few_sessions(
    settings: Settings, session: psycopg.Connection[Any]
) -> None:
    """In turns they would open all of them each time. A thread that is slow to wait again lets the
    next one in, so on a busy machine some processes open more."""
    opened: list[int] = []
    while len(opened) < 10 and min(opened, default=9) > 3:
        opened.append(await _opened(settings, session))
    assert min(opened) in (2, 3), opened


def test_the_thread_that_waited_last_is_served_first_and_no_item_is_lost() -> None:
    queue: WarmQueue[int | None] = WarmQueue()
    taken: list[tuple[int, int]] = []

    def take(number: int) -> None:
        while (item := queue.get()) is not None:
            taken.append((number, item))
        queue.put(None)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for item in range(10_000):
        queue.put(item)
    queue.put(None)
    for thread in threads:
        thread.join(30)
    assert sorted(item for _, item in taken) == list(range(10_000))
