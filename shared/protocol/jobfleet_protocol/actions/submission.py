"""Submit: open row, event 1 and message, in this order or in one transaction; it is repeatable."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import (
    BackendError,
    FleetTooOld,
    InvalidRequest,
    JobfleetError,
)
from jobfleet_contracts.event import Event, JobFacts, JobState
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.internal_job import check_submitted, is_internal_id
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.lookup_keys import INDEXED
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndex, JobIndexReader, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.transaction import JobOpenings
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.job_opening import opening_of
from jobfleet_protocol.actions.level_gate import LevelGate
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.same_body import check_same_body
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.control.type_keys import TypeKeys
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail.erased_values import holds_no_request, is_withdrawn
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

JOB_SUBMITTED = "job.submitted"
ROW_UNCERTAIN = "open_row.uncertain"
ROW_WRITTEN_AGAIN = "open_row.written_again"
ORPHANED_ROW_AGE = timedelta(hours=1)
"""Age at which the rescuer removes an open row without its event. A submitter that still lives
writes the row again, see :data:`SLOW_OPENING_SECONDS`."""
SLOW_OPENING_SECONDS = 600.0
"""Longest time from open row to event after which the submitter relies on the row.

After a longer one it writes the row again, because the rescuer may have removed it. It must stay
far below :data:`ORPHANED_ROW_AGE`."""

AT_ONCE = 64
"""How many of many jobs are submitted at a time."""

WARNING_SECONDS = 0.5
"""How long a submit may wait to learn what it is to warn of."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The stored job; ``created`` is false if the job existed before this submit.

    Attributes:
        warning: open jobs of the same lock key allow another number at a time, or a limit
            that the job names is not set.
        transaction: the submitter's own; the job exists only if it commits.
    """

    job_id: str
    state: State
    created: bool
    warning: str | None = None
    transaction: str | None = None


def opening_change(
    request: JobRequest,
    defaults: JobDefaults,
    *,
    now: datetime,
    by: str | None,
    keys: Mapping[str, str] | None = None,
) -> Change:
    """Return event 1 of a request: ``Scheduled`` if its time lies ahead, else ``Queued``.

    Args:
        keys: by which the job will be looked up.
    """
    scheduled = request.run_at is not None and request.run_at > now
    form = request.to_json()
    data = {
        "request": form,
        "defaults": defaults.to_json(),
        "digest": request.digest_of_form(form),
    }
    return Change(
        kind=Status.SCHEDULED if scheduled else Status.QUEUED,
        due_at=request.run_at if scheduled else None,
        max_attempts=request.max_attempts or defaults.max_attempts,
        message=request.description or f"{request.name} submitted",
        data=data | ({"by": by} if by else {}) | ({INDEXED: dict(keys)} if keys else {}),
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


async def reopen_if_slow(index: JobIndex, clock: Clock, opening: Event, *, since: float) -> None:
    """Write the open row again where its event stood only after more than ten minutes.

    The rescuer may have removed the row meanwhile. Nothing may be published or answered before
    it stands again: the rescuer finds the job by it, and nothing else would.

    Args:
        opening: the event that opens the incarnation; it is in the trail.
        since: boot time in seconds, from before the row was first sent.
    """
    if clock.boottime() - since <= SLOW_OPENING_SECONDS:
        return
    row = open_row(opening.facts, opening.after, clock.now())
    row = replace(row, sequence=opening.sequence)
    await retry_forever(
        lambda: index.open(row),
        lambda error: _log.debug(ROW_UNCERTAIN, job_id=opening.job_id, error=str(error)),
    )
    _log.info(ROW_WRITTEN_AGAIN, job_id=opening.job_id)


def request_of(event: Event) -> JobRequest:
    """Return the request that event 1 stores; resolve large data first.

    Fields of a newer version are left out: look at :func:`unknown_fields_of` before running it.
    If history or values were removed, only the job's facts are left: no payload, no callback.
    """
    from jobfleet_contracts.job import JobRequest, newer_fields

    if holds_no_request(event):
        return _remains_of(event.facts)
    if not isinstance(stored := event.data["request"], Mapping):
        raise TypeError("the stored request is not a JSON object")
    unknown = newer_fields(stored)
    return JobRequest.model_validate({name: stored[name] for name in stored if name not in unknown})


def unknown_fields_of(event: Event) -> tuple[str, ...]:
    """Return the fields of event 1 that this version does not know, and must not run without."""
    from jobfleet_contracts.job import newer_fields

    if holds_no_request(event):
        return ()
    data = event.data
    return newer_fields(data["request"]) + JobDefaults.newer_fields(data["defaults"])


def _remains_of(facts: JobFacts) -> JobRequest:
    from jobfleet_contracts.job import JobRequest

    return JobRequest(
        job_id=facts.job_id,
        type=facts.job_type,
        job_name=facts.job_name,
        queue=facts.queue,
        priority=facts.priority,
        lock_key=facts.lock_key,
        lock_slots=facts.lock_slots,
        created_at=facts.created_at,
    )


def defaults_of(event: Event) -> JobDefaults:
    """Return the submitter's defaults that event 1 stores."""
    return JobDefaults.from_json(event.data["defaults"])


async def message_of(
    opening: Event, head: Event, payloads: PayloadStore, now: datetime
) -> JobMessage:
    """Return the message that tells workers of ``head``, from the job's first event.

    A waiting job's due time is its deadline, so the message is not delayed by it. If a newer
    version wrote the request, the message has the fields that this one knows, and its receiver
    reads event 1.
    """
    first = await resolve(opening, payloads)
    return JobMessage(
        request=request_of(first),
        defaults=None if unknown_fields_of(first) else defaults_of(first),
        sequence=head.sequence,
        published_at=now,
        due_at=None if head.after.state is State.WAITING else head.after.due_at,
        opening_hash=opening.hash,
        incarnation=head.after.incarnation,
    )


class Submitter:
    """Accepts jobs."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        reader: JobIndexReader,
        log: ControlLog,
        payloads: PayloadStore,
        writer: TrailWriter,
        publication: Publication,
        clock: Clock,
        defaults: JobDefaults,
        gate: LevelGate,
        seal: FleetSeal,
        inline_bytes: int,
        keys: TypeKeys | None = None,
        openings: JobOpenings | None = None,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        """Take the parts.

        Args:
            coder: encodes the values of submitted requests.
            gate: refuses requests that live workers cannot act on.
            inline_bytes: larger data of an event are stored separately.
            keys: tells which payload keys are indexed; ``None``: the claims add them.
            openings: makes a job exist in one transaction; ``None``: in three steps.
        """
        self._inline_bytes = inline_bytes
        self._openings = openings
        self._keys = keys
        self._coder = coder
        self._gate = gate
        self._seal = seal
        self._trail = trail
        self._index = index
        self._reader = reader
        self._log = log
        self._payloads = payloads
        self._writer = writer
        self._publication = publication
        self._clock = clock
        self._defaults = defaults

    async def submit(
        self, request: JobRequest, *, idempotency_key: str | None = None, by: str | None = None
    ) -> Submitted:
        """Write the job's first event and publish it.

        Args:
            idempotency_key: makes the job id; the same key and body again is the same job.
            by: who asked, for the trail.

        Raises:
            InvalidRequest: type or id is one that only jobfleet itself may use.
            BodyConflict: the job id or key was used before with another body.
            FleetTooOld: a live worker's release cannot act on a field of the request.
            FleetSealed: the fleet is sealed, and the job not accepted.
            CodecError: the payload codec raised; nothing was accepted.
            BackendUnavailable: the trail did not answer in 8 s. The job may have been accepted:
                submit again with the same job id or key.
        """
        check_submitted(request)
        if idempotency_key is not None:
            request = request.model_copy(update={"job_id": job_id_for_key(idempotency_key)})
        encoded = self._coder.request(request)
        return await self._answered(
            self._known(encoded)
            if is_internal_id(encoded.job_id)
            else self._submit_admitted(encoded, request, by),
            encoded,
        )

    async def submit_internal(self, request: JobRequest, *, by: str) -> Submitted:
        """Submit a job of jobfleet's own, whose id :func:`internal_job_id` made; repeatable.

        It is stored as it is: who repeats it may have no codec, or encode by another key.

        Raises:
            BodyConflict: another job stands under this id.
            BackendUnavailable: the trail did not answer in 8 s; submit it again.
        """
        return await self._answered(self._submit(request, request, by), request)

    async def submit_many(
        self, requests: Sequence[JobRequest], *, by: str | None = None
    ) -> list[Submitted | JobfleetError]:
        """Submit several, each for itself, and return the answers in their order."""
        answers: list[Submitted | JobfleetError | None] = [None] * len(requests)
        places = iter(range(len(requests)))  # one, which the tasks share

        async def submit_next() -> None:
            for place in places:
                try:
                    answers[place] = await self.submit(requests[place], by=by)
                except JobfleetError as error:
                    answers[place] = error

        await asyncio.gather(*(submit_next() for _ in range(min(AT_ONCE, len(requests)))))
        return [answer for answer in answers if answer is not None]

    async def _answered(
        self, work: Coroutine[Any, Any, Submitted], request: JobRequest
    ) -> Submitted:
        return await answered(
            work,
            name=f"submit-{request.job_id}",
            unclear="submit again with the same job id or idempotency key",
        )

    async def _submit_admitted(
        self, request: JobRequest, clear: JobRequest, by: str | None
    ) -> Submitted:
        """Submit unless the fleet is sealed, or has a worker too old for the request.

        Internal jobs do not come here: they belong to jobs that still run, and a mover waits.
        """
        await self._seal.check()
        try:
            await self._gate.admit(request, by=by)
        except FleetTooOld:
            found = await self._trail.read(request.job_id, 1)
            if found is None:
                raise
            submitted = await self._same_job(request, found)  # accepted before, whatever runs now
        else:
            submitted = await self._submit(request, clear, by)
        # Again, now that event 1 stands. Otherwise a mover could have copied the trail in between,
        # and an accepted job would be missing in the copy.
        await self._seal.check()
        return submitted

    async def _known(self, request: JobRequest) -> Submitted:
        """Find the job under an internal id; no caller may begin one there."""
        found = await self._trail.read(request.job_id, 1)
        if found is None:
            raise InvalidRequest(
                "jobId: UUIDs of version 8 are for jobs that jobfleet makes; use version 4 or 7, "
                "or leave it out",
                field="jobId",
            )
        return await self._same_job(request, found)

    async def _submit(self, request: JobRequest, clear: JobRequest, by: str | None) -> Submitted:
        """Write and publish ``request``; only the lookup keys are read from ``clear``."""
        # Before the row is sent. Taken later, a submitter that slept in between would not see that
        # its row may have been removed as an orphan, and would not write it again.
        now, since = self._clock.now(), self._clock.boottime()
        facts = JobFacts.of(request)
        keys = self._coder.keys_of(clear, await self._declared_keys(clear))
        change = opening_change(request, self._defaults, now=now, by=by, keys=keys)
        warning = await self._warning(request) if request.lock_key or request.limits else None
        if warning is not None:
            change = replace(change, data=change.data | {"warning": warning})
        event = draft(None, facts, change, occurred_at=now)
        row = open_row(facts, event.after, now)
        if self._openings is not None:
            found = await self._open_at_once(self._openings, request, event, row)
        else:
            found = await self._open_in_steps(request, event, row, since=since)
        if found is not None:
            return await self._same_job(request, found)
        _log.info(JOB_SUBMITTED, job_id=request.job_id, type=request.type, state=event.after.state)
        return Submitted(request.job_id, event.after.state, created=True, warning=warning)

    async def _open_at_once(
        self, openings: JobOpenings, request: JobRequest, event: Event, row: OpenRow
    ) -> Event | None:
        """Make the job exist in one transaction; return event 1 of a job that exists already.

        Nothing is repeated: a transaction that is carried out late makes the whole job.
        """
        opening = opening_of(
            request, self._defaults, event, row, now=row.opened_at, inline_bytes=self._inline_bytes
        )
        try:
            await openings.write(opening)
        except BackendError:
            found = await self._trail.read(event.job_id, event.sequence)
            if found is None:
                raise
            return None if found.event_id == event.event_id else found
        return None

    async def _open_in_steps(
        self, request: JobRequest, event: Event, row: OpenRow, *, since: float
    ) -> Event | None:
        """Write row and event, then publish; return event 1 of a job that exists already."""
        # The row comes before the event. If the submitter dies after the event, the rescuer finds
        # the job by its row. In the other order it would find nothing, and the job never run.
        await self._index.open(row)
        # The event comes before the message. A worker trusts the message's hash of event 1 and
        # claims without a read: it would insert sequence 2 of a job that has no sequence 1.
        found = await self._writer.append([event])
        if found is None:
            # Before the message and the answer: once the caller has its answer, only the row
            # leads the rescuer to a job whose message was lost.
            await reopen_if_slow(self._index, self._clock, event, since=since)
            await self._publish(request, self._defaults, event)
        return found

    async def _declared_keys(self, request: JobRequest) -> Sequence[str]:
        if self._keys is None or not isinstance(request.payload, dict):
            return ()
        is_own = is_internal_id(request.job_id) and request.follows is None
        return () if is_own else await self._keys.of(request.type)

    async def _warning(self, request: JobRequest) -> str | None:
        warnings = [await self._other_slots(request), await self._unset_limits(request)]
        return "; ".join(each for each in warnings if each is not None) or None

    async def _other_slots(self, request: JobRequest) -> str | None:
        """Return a warning if open jobs of the lock key have another number of slots.

        The index lags and may not answer in time; then there is no warning.
        """
        if request.lock_key is None:
            return None
        try:
            async with asyncio.timeout(WARNING_SECONDS):
                found = await self._reader.lock_slots(request.lock_key)
        except (BackendError, TimeoutError):
            return None
        others = sorted(found - {request.lock_slots})
        if not others:
            return None
        listed = ", ".join(map(str, others))
        return (
            f"open jobs of lock key {request.lock_key} have lockSlots {listed}, this one "
            f"{request.lock_slots}: they are limited apart. Use one number for a key"
        )

    async def _unset_limits(self, request: JobRequest) -> str | None:
        """Return a warning if a limit that the job names was never set.

        The log may not answer in time; then there is no warning.
        """
        if not request.limits:
            return None
        try:
            async with asyncio.timeout(WARNING_SECONDS):
                found = [
                    await self._log.newest(ControlSubject.LIMIT, name) for name in request.limits
                ]
        except (BackendError, TimeoutError):
            return None
        unset = [n for n, newest in zip(request.limits, found, strict=True) if newest is None]
        if not unset:
            return None
        return (
            f"limit {', '.join(unset)} is not set, so the job waits: "
            f"jobfleet limits set {unset[0]} --slots N, or correct the job"
        )

    async def _same_job(self, request: JobRequest, found: Event) -> Submitted:
        first = await resolve(found, self._payloads)
        check_same_body(request, first)
        head = await self._trail.newest(request.job_id) or found
        removed = is_tombstone(first) or is_withdrawn(head)  # it may have gone in between
        if head.sequence == 1 and not removed:
            message = await message_of(found, found, self._payloads, self._clock.now())
            await self._publication.send_if_missed(message, found)
        elif head.after.state.is_terminal and (removed or not request.has_followers):
            await self._index.close(request.job_id, 1)  # else others still need the open row
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
        await self._publication.try_to_send(message, head)
