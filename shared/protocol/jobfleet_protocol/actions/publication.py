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
RESCUED_AFTER = timedelta(seconds=60)
"""A message that was never confirmed is published by the rescuer after so long."""

MOST_REMEMBERED = 10_000
"""Jobs. If a process submits more in a minute, it forgets the oldest first."""

_log = structlog.get_logger()


class Publication:
    """Tells workers of a job; what cannot be confirmed is left to the rescuer."""

    def __init__(self, *, queue: JobQueue, index: JobIndex, clock: Clock) -> None:
        self._queue = queue
        self._index = index
        self._clock = clock
        self._submitted: dict[str, float] = {}

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

    async def send_if_missed(self, message: JobMessage, opening: Event) -> None:
        """Like :meth:`try_to_send`, for a repeated submit: another one may not have come so far.

        Nothing is published if this process has done so within a minute, or if the job is older:
        the rescuer has seen to it by then. Otherwise each repetition would add a copy.

        Args:
            opening: event 1 of the job.
        """
        is_recent = self._clock.now() - opening.occurred_at <= RESCUED_AFTER
        if is_recent and opening.job_id not in self._submitted:
            await self.try_to_send(message, opening)

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
        if head.sequence == 1:
            self._remember(head.job_id)
        return True

    def delay_of(self, message: JobMessage) -> timedelta:
        """Return how long the message must still wait."""
        if message.due_at is None:
            return timedelta(0)
        return max(message.due_at - self._clock.now(), timedelta(0))

    def _remember(self, job_id: str) -> None:
        now = self._clock.boottime()
        oldest = now - RESCUED_AFTER.total_seconds()
        self._submitted.pop(job_id, None)  # so that the newest is the last
        self._submitted[job_id] = now
        while self._submitted[first := next(iter(self._submitted))] < oldest:
            del self._submitted[first]
        if len(self._submitted) > MOST_REMEMBERED:
            del self._submitted[next(iter(self._submitted))]
