"""What follows a terminal event: the callback job, then the end of the open row."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Any
from uuid import UUID, uuid5

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import BodyConflict, DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.submission import Submitter, request_of
from jobfleet_protocol.trail.large_data import resolve

CALLBACK_TYPE = "callback.deliver"
CALLBACK_DEFAULTS = JobDefaults(
    max_attempts=30, retry_delay_seconds=5, retry_max_seconds=7200, timeout_seconds=60
)
"""Back-off to two hours: thirty attempts span about a day."""


def callback_job_id(job_id: str, incarnation: int) -> str:
    """Return the id of the job that delivers this incarnation's final result."""
    return str(uuid5(UUID(job_id), f"callback/{incarnation}"))


class Ending:
    """Order at the end: terminal event, callback job, (release,) open row last."""

    def __init__(self, *, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._submitter = Submitter(backend=backend, clock=clock, defaults=CALLBACK_DEFAULTS)

    async def submit_callback(self, head: Event, request: JobRequest) -> None:
        """Submit the job that delivers the result, if one is asked for; repeatable.

        Raises:
            BackendUnavailable: it could not be written; the rescuer will see to it.
        """
        if request.callback_url is None:
            return
        if head.kind is Status.DISMISSED:
            head = await self._backend.trail.read(head.job_id, head.sequence - 1) or head
        body = _final_result(await resolve(head, self._backend.payloads), request)
        delivery = JobRequest(
            job_id=callback_job_id(head.job_id, head.after.incarnation),
            type=CALLBACK_TYPE,
            job_name=f"callback of {request.name}"[:200],
            payload={"url": request.callback_url, "jobId": head.job_id, "body": body},
            queue=request.queue,
            created_at=head.occurred_at,
        )
        with contextlib.suppress(BodyConflict):  # another body: it was submitted, nevertheless
            await self._submitter.submit(delivery, by=f"job {head.job_id}")

    def close(self, head: Event) -> Awaitable[None]:
        """Remove the open row of the incarnation that ``head`` ended."""
        return self._backend.index.close(head.job_id, head.after.incarnation)

    async def conclude(self, head: Event, request: JobRequest | None = None) -> None:
        """Do both; reads the request from the trail where the caller does not have it."""
        if request is None:
            opening = await self._backend.trail.read(head.job_id, 1)
            if opening is not None:
                with contextlib.suppress(DataMissing):  # with it is lost whom to call back
                    request = request_of(await resolve(opening, self._backend.payloads))
        if request is not None:
            await self.submit_callback(head, request)
        await self.close(head)


def _final_result(head: Event, request: JobRequest) -> dict[str, Any]:
    completed = head.kind is Status.COMPLETED
    return {
        "jobId": head.job_id,
        "jobName": request.name,
        "type": request.type,
        "state": head.after.state.value,
        "incarnation": head.after.incarnation,
        "attempt": head.after.attempt,
        "completedAt": format_time(head.occurred_at),
        "result": head.data.get("result") if completed else None,
        "error": None if completed else head.data.get("error", {"message": head.message}),
    }
