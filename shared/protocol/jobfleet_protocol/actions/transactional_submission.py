"""Submit inside a transaction of the submitter's: the job exists if, and only if, it commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobfleet_contracts.backend import Limits
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import JobFacts
from jobfleet_contracts.internal_job import check_submitted, is_internal_id
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.transaction import Opened, Opening
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.job_opening import opening_of
from jobfleet_protocol.actions.same_body import check_same_body
from jobfleet_protocol.actions.submission import (
    Submitted,
    open_row,
    opening_change,
)
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.trail.transitions import draft

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest


class TransactionalSubmission:
    """Prepares what a transaction writes, and reads what it found.

    Nothing here is repeated or goes on in the background: the transaction's owner decides.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        defaults: JobDefaults,
        limits: Limits,
        seal: FleetSeal,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._seal = seal
        self._clock = clock
        self._defaults = defaults
        self._limits = limits

    def identified(self, request: JobRequest, idempotency_key: str | None) -> JobRequest:
        """Return the request with the id that its key makes, as it is stored: encoded.

        Raises:
            InvalidRequest: type or id is one that only jobfleet itself may use.
            CodecError: the payload codec raised.
        """
        check_submitted(request)
        if is_internal_id(request.job_id):
            raise InvalidRequest(
                "jobId: UUIDs of version 8 are for jobs that jobfleet makes", field="jobId"
            )
        if idempotency_key is not None:
            request = request.model_copy(update={"job_id": job_id_for_key(idempotency_key)})
        return self._coder.request(request)

    async def check_seal(self) -> None:
        """Check that the fleet is not sealed; before the transaction writes, and after.

        Raises:
            FleetSealed: it is. What was written must not be committed.
        """
        await self._seal.check()

    def opening(self, request: JobRequest, *, by: str | None, notify: bool) -> Opening:
        """Return all that makes the job exist."""
        now = self._clock.now()
        facts = JobFacts.of(request)
        change = opening_change(request, self._defaults, now=now, by=by)
        event = draft(None, facts, change, occurred_at=now)
        return opening_of(
            request,
            self._defaults,
            event,
            open_row(facts, event.after, now),
            now=now,
            inline_bytes=self._limits.inline_bytes,
            notify=notify,
        )

    def answer(self, request: JobRequest, opening: Opening, opened: Opened) -> Submitted:
        """Return the submitter's answer.

        Raises:
            BodyConflict: the job id or key was used before with another body. The transaction
                goes on: no statement has failed.
        """
        if opened.first is None or opened.head is None:
            state = opening.event.after.state
            return Submitted(request.job_id, state, created=True, transaction=opened.transaction)
        check_same_body(request, opened.first)
        return Submitted(
            request.job_id,
            opened.head.after.state,
            created=False,
            transaction=opened.transaction,
        )
