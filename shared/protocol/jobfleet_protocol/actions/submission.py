"""Submit: open row first, then event 1, then publish; whoever repeats it finds the same job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BodyConflict, JobfleetError
from jobfleet_contracts.event import Event, JobFacts, JobState
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest, digest_of, job_id_for_key
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import Clock, PayloadStore
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

JOB_SUBMITTED = "job.submitted"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that stands in the trail; ``created`` is false where it stood there before."""

    job_id: str
    state: State
    created: bool


def opening_change(
    request: JobRequest, defaults: JobDefaults, *, now: datetime, by: str | None
) -> Change:
    """Return event 1 of a request: ``Scheduled`` where its time lies ahead, else ``Queued``."""
    scheduled = request.run_at is not None and request.run_at > now
    said = request.to_json()
    data = {"request": said, "defaults": defaults.to_json(), "digest": digest_of(said)}
    return Change(
        status="Scheduled" if scheduled else "Queued",
        due_at=request.run_at if scheduled else None,
        max_attempts=request.max_attempts or defaults.max_attempts,
        message=request.description or f"{request.name} submitted",
        data=data | ({"by": by} if by else {}),
    )


def open_row(facts: JobFacts, state: JobState, now: datetime) -> OpenRow:
    """Return the open row to insert before the event that leads to ``state``."""
    return OpenRow(
        facts=facts,
        incarnation=state.incarnation,
        state=state.state,
        sequence=0,
        opened_at=now,
        updated_at=now,
        due_at=state.due_at,
    )


def request_of(event: Event) -> JobRequest:
    """Return the request that event 1 stores; resolve large data first.

    Of a removed history only what the job was is left: no payload, no callback.
    """
    if is_tombstone(event):
        return _remains_of(event.facts)
    return JobRequest.model_validate(event.data["request"])


def _remains_of(facts: JobFacts) -> JobRequest:
    return JobRequest(
        job_id=facts.job_id,
        type=facts.job_type,
        job_name=facts.job_name,
        queue=facts.queue,
        priority=facts.priority,
        lock_key=facts.lock_key,
        created_at=facts.created_at,
    )


def defaults_of(event: Event) -> JobDefaults:
    """Return the submitter's defaults that event 1 stores."""
    return JobDefaults.from_json(event.data["defaults"])


async def message_of(
    opening: Event, head: Event, payloads: PayloadStore, now: datetime
) -> JobMessage:
    """Return the message that tells workers of ``head``, from the job's first event.

    A waiting job's due time is its deadline, which is no reason to keep the message back.
    """
    first = await resolve(opening, payloads)
    return JobMessage(
        request=request_of(first),
        defaults=defaults_of(first),
        sequence=head.sequence,
        published_at=now,
        due_at=None if head.after.state is State.WAITING else head.after.due_at,
        opening_hash=opening.hash,
    )


class Submitter:
    """Accepts jobs."""

    def __init__(self, *, backend: Backend, clock: Clock, defaults: JobDefaults) -> None:
        self._backend = backend
        self._clock = clock
        self._defaults = defaults
        self._writer = TrailWriter(backend=backend)
        self._publication = Publication(backend=backend, clock=clock)

    async def submit(
        self, request: JobRequest, *, idempotency_key: str | None = None, by: str | None = None
    ) -> Submitted:
        """Write the job's first event and publish it.

        Args:
            idempotency_key: makes the job id; the same key and body again is the same job.
            by: who asked, for the trail.

        Raises:
            BodyConflict: the job id or key was used before with another body.
            BackendUnavailable: the trail did not answer in 8 s. The job may have been accepted:
                submit again with the same job id or key.
        """
        if idempotency_key is not None:
            request = request.model_copy(update={"job_id": job_id_for_key(idempotency_key)})
        return await answered(
            self._submit(request, by),
            name=f"submit-{request.job_id}",
            unclear="submit again with the same job id or idempotency key",
        )

    async def submit_many(
        self, requests: Sequence[JobRequest], *, by: str | None = None
    ) -> list[Submitted | JobfleetError]:
        """Submit several, each for itself, and return the answers in their order."""
        limit = asyncio.Semaphore(64)

        async def one(request: JobRequest) -> Submitted | JobfleetError:
            async with limit:
                try:
                    return await self.submit(request, by=by)
                except JobfleetError as error:
                    return error

        return await asyncio.gather(*map(one, requests))

    async def _submit(self, request: JobRequest, by: str | None) -> Submitted:
        now = self._clock.now()
        facts = JobFacts.of(request)
        change = opening_change(request, self._defaults, now=now, by=by)
        event = draft(None, facts, change, occurred_at=now)
        await self._backend.index.open(open_row(facts, event.after, now))
        found = await self._writer.append([event])
        if found is not None:
            return await self._same_job(request, found)
        await self._publish(request, self._defaults, event)
        _log.info(JOB_SUBMITTED, job_id=request.job_id, type=request.type, state=event.after.state)
        return Submitted(request.job_id, event.after.state, created=True)

    async def _same_job(self, request: JobRequest, found: Event) -> Submitted:
        first = await resolve(found, self._backend.payloads)
        digest = first.data.get("digest")
        if digest != request.digest() and not (is_tombstone(first) and digest is None):
            raise BodyConflict(f"job {request.job_id} was submitted before with another body")
        head = await self._backend.trail.newest(request.job_id) or found
        removed = is_tombstone(first) or is_tombstone(head)  # it may have gone in between
        if head.sequence == 1 and not removed:
            await self._publish(request_of(first), defaults_of(first), found)
        elif head.after.state.is_terminal and (removed or request.callback_url is None):
            await self._backend.index.close(request.job_id, 1)
        return Submitted(request.job_id, head.after.state, created=False)

    async def _publish(self, request: JobRequest, defaults: JobDefaults, head: Event) -> None:
        """Publish event 1 as it stands: a claim builds on its hash without reading it."""
        message = JobMessage(
            request=request,
            defaults=defaults,
            sequence=head.sequence,
            published_at=self._clock.now(),
            due_at=head.after.due_at,
            opening_hash=head.hash,
        )
        await self._publication.attempt(message, head)
