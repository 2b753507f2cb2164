"""The way into the work queues: rows that become visible when they are due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.message_rows import PUBLISH, Outgoing
from jobfleet_backends.postgres.notifier import Notifier
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.index import QueueDepth
from jobfleet_contracts.job import LANES
from jobfleet_contracts.message import JobMessage

_PUBLISH_LATER_SECONDS = 3.0
_AGAIN_SECONDS = 0.25
_DEPTHS = """
SELECT queue, lane, count(*) FILTER (WHERE visible_at <= clock_timestamp())
FROM jobfleet.messages GROUP BY queue, lane
"""
_QUEUES = "SELECT queue FROM jobfleet.queues"


class PostgresJobQueue:
    """Puts messages into their lanes; a delay only sets when a message becomes visible."""

    def __init__(self, *, database: Database, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier

    async def publish(self, message: JobMessage, *, timeout: float = 3.0) -> None:
        """Put a message into its lane; it is committed when this returns."""
        await self._publish(message, timedelta(0), timeout)

    async def publish_later(self, message: JobMessage, delay: timedelta) -> None:
        """Like ``publish``; the message shows up after the delay."""
        await self._publish(message, max(delay, timedelta(0)), _PUBLISH_LATER_SECONDS)

    async def depths(self) -> Sequence[QueueDepth]:
        """Return the ready messages of each lane of each queue that was ever used."""
        counted, named = await asyncio.gather(
            self._database.fetch(_DEPTHS), self._database.fetch(_QUEUES)
        )
        ready = {(queue, lane): count for queue, lane, count in counted}
        queues = sorted({queue for queue, _ in ready} | {name for (name,) in named})
        return [
            QueueDepth(queue, name, ready.get((queue, lane), 0))
            for queue in queues
            for lane, name in enumerate(LANES)
        ]

    async def _publish(self, message: JobMessage, delay: timedelta, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        outgoing = Outgoing(message, delay.total_seconds())
        queue = message.request.queue
        notification = self._notifier.with_commit(queue)
        while True:
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                    await self._database.write(PUBLISH, outgoing, notification=notification)
                break
            except TimeoutError:
                raise BackendUnavailable(
                    f"PostgreSQL {self._database.address.shown} did not confirm the message within "
                    f"{timeout:g} s"
                ) from None
            except BackendUnavailable:
                # A message that comes twice costs a look at the trail; one that is lost, a minute.
                if time.monotonic() + _AGAIN_SECONDS > deadline:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
        if notification is None:
            self._notifier.notify(queue)
