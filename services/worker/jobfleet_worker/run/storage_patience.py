"""How long a worker keeps a message while storage does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from jobfleet_contracts.errors import BackendError, BackendUnavailable
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.retry import retry_for

CLAIM_DELAYED = "claim.delayed"

_Answer = TypeVar("_Answer")

_log = structlog.get_logger()


class StoragePatience:
    """Repeats what a worker does about a message while storage fails, for the length of a lease.

    After that the message goes back to the queue, for a worker that can reach the storage. A claim
    whose outcome is unknown by then is taken over like that of a worker that died.

    Attributes:
        seconds: length of a lease, in which new tries begin.
    """

    def __init__(self, *, seconds: float) -> None:
        self.seconds = seconds

    async def repeat(
        self, message: JobMessage, operation: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """Await ``operation()`` until it answers, and return its answer.

        Raises:
            BackendError: storage did not answer in that time, or refused.
        """
        return await self.wait(operation, log_delays(message))

    async def wait(
        self,
        operation: Callable[[], Awaitable[_Answer]],
        on_error: Callable[[BackendError], object],
    ) -> _Answer:
        """Like :meth:`repeat`; ``on_error`` is called with each error that another try follows."""
        # What is under way goes on until it is answered. It does so alone: without the limit a
        # worker whose storage never comes back would keep the message and the slot for ever.
        try:
            async with asyncio.timeout(2 * self.seconds):
                return await retry_for(self.seconds, operation, on_error)
        except TimeoutError as error:
            raise BackendUnavailable("storage did not answer in time") from error


def log_delays(message: JobMessage) -> Callable[[BackendError], None]:
    """Return what logs that a message waits for storage."""
    job_id = message.request.job_id
    return lambda error: _log.warning(CLAIM_DELAYED, job_id=job_id, error=str(error))
