"""Which request a message stands for: its own, or the one that event 1 of its job holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobfleet_contracts.errors import DataMissing, InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import INTERNAL_TYPES, check_clear, is_internal_id
from jobfleet_contracts.job import unknown_fields
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.value_coder import ValueCoder
from jobfleet_protocol.actions.submission import defaults_of, request_of, unknown_fields_of
from jobfleet_protocol.claiming.decision import Ended
from jobfleet_protocol.trail.erased_values import holds_no_request
from jobfleet_protocol.trail.large_data import resolve


@dataclass(frozen=True, slots=True)
class NoRequest:
    """The message is not a job request, and no trail says otherwise: dead-letter it."""

    reason: str


@dataclass(frozen=True, slots=True)
class ForNewer:
    """The job holds what this worker does not know: leave it to a newer one.

    Attributes:
        head: its newest event, if that is known.
        reason: a field of the stored request, or the kind of the newest event.
    """

    head: Event | None
    reason: str


class Acceptance:
    """Reads event 1 of jobs whose messages do not prove what they say."""

    def __init__(self, *, trail: AuditTrail, payloads: PayloadStore, coder: ValueCoder) -> None:
        self._trail = trail
        self._payloads = payloads
        self._coder = coder

    async def of(self, message: JobMessage) -> JobMessage | Ended | NoRequest | ForNewer:
        """Return the message with the stored request, if the job already exists.

        Without event 1 its values must be clear; they are returned encoded. Headers authenticate
        nothing. So a message with an internal type or id starts only what
        event 1 says, and nothing if there is no event 1.

        Raises:
            BackendUnavailable: the trail does not answer.
            CodecError: the codec raised.
        """
        opening = await self._trail.read(message.request.job_id, 1)
        if opening is None:
            return self._foreign(message)
        if holds_no_request(opening):
            return Ended(await self._trail.newest(opening.job_id) or opening)
        try:
            first = await resolve(opening, self._payloads)
        except DataMissing as error:
            if message.needs_opening:
                return NoRequest(str(error))
            return message  # it may be the only copy that is left
        if unknown := unknown_fields_of(first):
            return await self._for_newer(opening, unknown)
        return replace(
            message,
            request=request_of(first),
            defaults=defaults_of(first),
            unknown_fields=(),
            opening_hash=opening.hash,  # what the message says of it proves nothing
        )

    def _foreign(self, message: JobMessage) -> JobMessage | NoRequest:
        """Return the message as event 1 may hold it: encoded, if there is a codec."""
        if message.needs_opening:
            return NoRequest(_flaw(message))
        try:
            # Before encoding: afterwards a value that was copied from the storage looks like ours.
            check_clear(message.request)
        except InvalidRequest as error:
            return NoRequest(str(error))
        return replace(message, request=self._coder.request(message.request))

    async def _for_newer(self, opening: Event, unknown: tuple[str, ...]) -> Ended | ForNewer:
        head = await self._trail.newest(opening.job_id) or opening
        is_over = head.after.state.is_terminal and head.is_readable
        return Ended(head) if is_over else ForNewer(head, str(unknown_fields(unknown)))


def _flaw(message: JobMessage) -> str:
    """Return why a message without a trail is not a job request."""
    if message.unknown_fields:
        return str(unknown_fields(message.unknown_fields))
    if message.request.type in INTERNAL_TYPES:
        return f"type: {message.request.type} jobs are made by jobfleet alone"
    if not is_internal_id(message.request.job_id):
        return "follows, results, member: only jobfleet itself sets these fields"
    return "jobId: UUIDs of version 8 are for jobs that jobfleet makes"
