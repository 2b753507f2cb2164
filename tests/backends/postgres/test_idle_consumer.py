"""What a consumer asks between two looks for messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.job_consumer import PostgresJobConsumer
from jobfleet_backends.postgres.listener import Listener
from jobfleet_backends.postgres.message_rows import TAKE
from jobfleet_backends.system_clock import SystemClock

LOOKS = 5


class _Notifications:
    """A listener that hears when it is told to."""

    hear: Callable[[str], None]

    def add(self, hear: Callable[[str], None]) -> None:
        self.hear = hear

    def remove(self, _hear: Callable[[str], None]) -> None:
        return None


class _Notified:
    """A database in which each of the first looks finds nothing, and notifies."""

    clock = SystemClock()

    def __init__(self, notifications: _Notifications) -> None:
        self._notifications = notifications
        self.looks = self.questions = 0

    async def write(self, statement: Any, _item: Any) -> list[Any]:
        if statement is TAKE:
            self.looks += 1
            if self.looks <= LOOKS:
                self._notifications.hear("q")
        return []

    async def execute(self, *_: Any) -> int:
        return 0

    async def fetch(self, *_: Any) -> list[Any]:
        self.questions += 1
        return [(None,)]


async def test_nothing_is_asked_before_a_look_that_a_ring_asks_for() -> None:
    notifications = _Notifications()
    database = _Notified(notifications)
    consumer = PostgresJobConsumer(
        database=cast("Database", database), listener=cast("Listener", notifications)
    )
    await consumer.start(["q"])
    # No time to be silent in: each look begins with a notification but the last one.
    while database.looks <= LOOKS:
        assert list(await consumer.receive(1, timedelta(milliseconds=1))) == []
    assert database.questions == 0
    await consumer.receive(1, timedelta(milliseconds=100))
    assert database.questions >= 1, "silence asks when the next message is due"
    await consumer.stop()
