"""What an attempt needs from storage before its handler starts; storage in trouble costs none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from jobfleet_contracts.errors import BackendError, DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.successors import with_results
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail.large_data import resolve

CHECKPOINT_AWAITED = "checkpoint.awaited"
RESULT_AWAITED = "result.awaited"

T = TypeVar("T")

_log = structlog.get_logger()


class AttemptInputs:
    """Reads until storage answers, or until the attempt is stopped.

    Args:
        is_stopping: whether the attempt is to stop; its handler is not started then.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        payloads: PayloadStore,
        is_stopping: Callable[[], bool],
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._trail = trail
        self._payloads = payloads
        self._is_stopping = is_stopping

    async def last_checkpoint(self, head: Event) -> Any:
        """Return the last checkpoint of the job's incarnation, decoded; ``None`` if there is none.

        Reads nothing for a job's first claim; else pages of 1,000 events, newest first.

        Raises:
            CodecError: it cannot be decoded here.
            DataMissing: a checkpoint is not there any more; the attempt fails.
        """
        found = await self._read(lambda: self._newest_checkpoint(head), None, CHECKPOINT_AWAITED)
        return self._coder.clear_value(found)

    async def _newest_checkpoint(self, head: Event) -> Any:
        if head.after.epoch <= 1:
            return None
        before = head.sequence
        while before > 1:
            page = await self._trail.history(head.job_id, before=before, limit=1000)
            for event in reversed(page):
                if event.after.incarnation < head.after.incarnation:
                    return None
                if event.is_step:
                    data = (await resolve(event, self._payloads)).data
                    if "checkpoint" in data:
                        return data["checkpoint"]
            before = page[0].sequence if page else 0
        return None

    async def filled(self, request: JobRequest) -> JobRequest:
        """Return the request as it was submitted, with the results of the job before it.

        Raises:
            CodecError: the request or a result cannot be decoded here.
            ResultMissing: a result is not there any more; the job fails.
        """
        clear = self._coder.clear_request(request)
        return await self._read(
            lambda: with_results(
                clear, trail=self._trail, payloads=self._payloads, coder=self._coder
            ),
            clear,
            RESULT_AWAITED,
        )

    async def _read(self, read: Callable[[], Awaitable[T]], otherwise: T, awaited: str) -> T:
        async def unless_stopped() -> T:
            try:
                return await read()
            except DataMissing:
                raise
            except BackendError:
                if self._is_stopping():
                    return otherwise
                raise

        return await retry_forever(
            unless_stopped, lambda error: _log.warning(awaited, error=str(error))
        )
