"""Work queues that do not answer: logged, and tried in the background until they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from jobfleet_backends.rabbitmq.back_off import BackOff
from jobfleet_backends.rabbitmq.topology import LaneQueue
from jobfleet_contracts.errors import BackendError

RETRY_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0

QUEUE_SUSPENDED = "queue.suspended"
QUEUE_RESUMED = "queue.resumed"

log = structlog.get_logger()


class SuspendedQueues:
    """Holds such queues until an attempt succeeds.

    Args:
        attempt: raises BackendError where the queue does not answer yet; may take long.
        resumed: called when a queue answers again and is held no more.
    """

    def __init__(
        self, *, attempt: Callable[[LaneQueue], Awaitable[None]], resumed: Callable[[], None]
    ) -> None:
        self._attempt = attempt
        self._resumed = resumed
        self._retries: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._retries

    def add(self, queue: LaneQueue, problem: str) -> None:
        """Do without this queue for now."""
        if queue.name in self:
            return
        log.warning(QUEUE_SUSPENDED, queue=queue.name, problem=problem)
        retry = asyncio.create_task(self._retry(queue), name=f"rabbitmq-retry-{queue.name}")
        self._retries[queue.name] = retry

    async def stop(self) -> None:
        """Try no more."""
        retries, self._retries = list(self._retries.values()), {}
        for retry in retries:
            retry.cancel()
        if retries:
            await asyncio.wait(retries)

    async def _retry(self, queue: LaneQueue) -> None:
        back_off = BackOff(first=RETRY_SECONDS, longest=LONGEST_PAUSE_SECONDS)
        back_off.failed()
        while back_off.pause:
            await asyncio.sleep(back_off.pause)
            try:
                await self._attempt(queue)
                back_off.succeeded()
            except BackendError:
                back_off.failed()
        self._retries.pop(queue.name, None)
        log.info(QUEUE_RESUMED, queue=queue.name)
        self._resumed()
