"""Publishing what the trail says is due, and marking it in the open row."""

from __future__ import annotations

from datetime import timedelta

import structlog

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock, JobIndex, JobQueue

PUBLISH_LEFT_TO_RESCUER = "publish.left_to_rescuer"
PUBLISH_SECONDS = 3.0
LONGEST_DELAY = timedelta(hours=1)
"""What is due later waits in the open rows; the rescuer publishes it within its last hour."""

_log = structlog.get_logger()


class Publication:
    """Tells workers of a job; what cannot be confirmed is left to the rescuer."""

    def __init__(self, *, queue: JobQueue, index: JobIndex, clock: Clock) -> None:
        self._queue = queue
        self._index = index
        self._clock = clock

    async def try_to_send(self, message: JobMessage, head: Event) -> bool:
        """Publish at once or through the delay queues; never raises for a broker in trouble.

        Returns:
            Whether the broker has confirmed it.
        """
        try:
            return await self.send(message, head)
        except BackendError as error:
            _log.warning(PUBLISH_LEFT_TO_RESCUER, job_id=head.job_id, error=str(error))
            return False

    async def send(self, message: JobMessage, head: Event) -> bool:
        """Like :meth:`try_to_send`, but raises.

        Raises:
            BackendUnavailable: not confirmed; it may have been published.
        """
        delay = self.delay_of(message)
        if delay > LONGEST_DELAY:
            return False
        if delay > timedelta(0):
            await self._queue.publish_later(message, delay)
        else:
            await self._queue.publish(message, timeout=PUBLISH_SECONDS)
        self._index.published(head.job_id, head.after.incarnation, head.sequence)
        return True

    def delay_of(self, message: JobMessage) -> timedelta:
        """Return how long the message must still wait."""
        if message.due_at is None:
            return timedelta(0)
        return max(message.due_at - self._clock.now(), timedelta(0))
