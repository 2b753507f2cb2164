"""What a worker takes: messages of its queues, and those that it hands to itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Delivery, JobConsumer
from jobfleet_worker.run.pause_watch import PauseWatch


@dataclass(frozen=True, slots=True)
class HandedMessage:
    """A message that no queue holds. Lost with its worker, it is found missing by the rescuer."""

    message: JobMessage
    lost_workers: int = 0

    async def ack(self) -> None:
        """Nothing holds it."""

    async def requeue(self) -> None:
        """No queue holds it: the rescuer finds its job again."""


class MessageSource:
    """A :class:`JobConsumer` that takes nothing while the pauses of the fleet are not known.

    Of a paused queue nobody consumes. What must be done for its jobs all the same, an ending for
    instance, comes as a message that a part of this worker hands over.
    """

    def __init__(self, *, consumer: JobConsumer, pauses: PauseWatch) -> None:
        self._consumer = consumer
        self._pauses = pauses
        self._handed: deque[JobMessage] = deque()

    async def start(self, queues: Sequence[str]) -> None:
        """Declare and open the queues."""
        await self._consumer.start(queues)

    def leave_out(self, queues: frozenset[str]) -> None:
        """Consume none of these queues until the next call."""
        self._consumer.leave_out(queues)

    def hand(self, message: JobMessage) -> None:
        """Let the next receive return this message."""
        self._handed.append(message)

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Return 1 to ``limit`` deliveries, or none after ``wait``."""
        if self._pauses.latest is None:
            with suppress(TimeoutError, BackendUnavailable):
                await asyncio.wait_for(self._pauses.current(), wait.total_seconds())
            return ()
        if self._handed:
            count = min(limit, len(self._handed))
            return [HandedMessage(self._handed.popleft()) for _ in range(count)]
        return await self._consumer.receive(limit, wait)

    async def stop(self) -> None:
        """Take nothing more."""
        self._handed.clear()
        await self._consumer.stop()
