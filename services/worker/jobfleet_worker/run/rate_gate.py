"""Jobs under a rate: put off, passed on until their reserved start, or kept in hand."""

from __future__ import annotations

from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import CLAIMABLE
from jobfleet_protocol.claiming.claim_result import RateFull
from jobfleet_protocol.claiming.decision import is_due_later
from jobfleet_protocol.claiming.rate_deferral import crowded_data, crowded_text, reserved_starts
from jobfleet_protocol.claiming.rate_limiter import AT_HAND, RateLimiter
from jobfleet_protocol.claiming.start_terms import TermsOf
from jobfleet_worker.run.deferral import Deferral


class RateGate:
    """What a worker does about messages of jobs that a rate lets start later."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        rates: RateLimiter,
        terms: TermsOf,
        deferral: Deferral,
        clock: Clock,
    ) -> None:
        self._trail = trail
        self._rates = rates
        self._terms = terms
        self._deferral = deferral
        self._clock = clock

    def lets_pass(self, message: JobMessage) -> bool:
        """Whether no rate can hold the job back; nearly always, and nothing is asked."""
        return message.due_at is None and not self._rates.knows_rates

    async def puts_off(self, message: JobMessage) -> bool:
        """Put a message off without a claim, where its job is known to find no start.

        So a long queue behind a rate costs the storage an event for each job, and then nothing.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        if message.needs_trail:
            return False
        if message.due_at is not None:  # a start is reserved, or a writer set its time
            if not message.deferrals or message.due_at - self._clock.now() <= AT_HAND:
                return False
            await self._deferral.until_reserved_start(message, None, message.due_at)
            return True
        crowded = self._rates.crowded((await self._terms(message.request)).rates)
        if crowded is None:
            return False
        head = None
        if not message.deferrals:
            head = await self._trail.newest(message.request.job_id)
            if head is None or not _only_waits_for_its_start(head, self._clock.now()):
                return False
            head = await self._deferral.note(head, crowded_text(crowded), crowded_data(crowded))
        seconds = self._rates.put_off_seconds(crowded)
        await self._deferral.for_seconds(message, head, seconds)
        return True

    async def put_off(self, message: JobMessage, result: RateFull) -> None:
        """Put off a job whose reserved start lies ahead, or that found none.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        head = result.head
        if result.crowded is None and head.after.due_at is not None:
            await self._deferral.until_reserved_start(message, head, head.after.due_at)
        elif result.crowded is not None:
            seconds = self._rates.put_off_seconds(result.crowded)
            await self._deferral.for_seconds(message, head, seconds)


def _only_waits_for_its_start(head: Event, now: datetime) -> bool:
    """Whether nothing is to be done about the job but to start it."""
    after = head.after
    waits = after.state in CLAIMABLE and not is_due_later(head, now)
    return waits and not after.cancel_requested and not reserved_starts(head)
