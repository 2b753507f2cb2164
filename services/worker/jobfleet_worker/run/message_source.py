"""What a worker takes: messages of its queues, and those that it hands to itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Delivery, JobConsumer
from jobfleet_worker.run.handed_messages import HandedMessages
from jobfleet_worker.run.pause_watch import PauseWatch


class MessageSource:
    """A :class:`JobConsumer` that takes nothing while the pauses of the fleet are not known.

    Workers do not consume a paused queue. Some work on its jobs is still due, such as writing an
    ending. For that another part of this worker hands over a message.
    """

    def __init__(
        self, *, consumer: JobConsumer, pauses: PauseWatch, handed: HandedMessages
    ) -> None:
        self._consumer = consumer
        self._pauses = pauses
        self._handed = handed

    async def start(self, queues: Sequence[str]) -> None:
        """Declare and open the queues."""
        await self._consumer.start(queues)

    def leave_out(self, queues: frozenset[str]) -> None:
        """Consume none of these queues until the next call."""
        self._consumer.leave_out(queues)

    def hand(self, message: JobMessage) -> None:
        """Let one of the next receives return this message, alone."""
        self._handed.hand(message)

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Return 1 to ``limit`` deliveries, or none after ``wait``."""
        if self._pauses.latest is None:
            with suppress(TimeoutError, BackendUnavailable):
                await asyncio.wait_for(self._pauses.current(), wait.total_seconds())
            return ()
        if limit > 0 and (handed := await self._handed.take()) is not None:
            return [handed]
        return await self._consumer.receive(limit, wait)

    async def stop(self) -> None:
        """Take nothing more."""
        await self._handed.stop()
        await self._consumer.stop()
