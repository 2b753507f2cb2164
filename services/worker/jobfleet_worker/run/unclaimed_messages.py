"""What a worker does about a message whose job it has not claimed."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

import structlog

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import DataMissing
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.ports import Clock, DeadLetterStore, JobIndex
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.claiming.acceptance import ForNewer, NoRequest
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult, LimitFull, RateFull
from jobfleet_protocol.claiming.decision import Attended, Busy, Ended, Paused, Suspect, Wait
from jobfleet_protocol.retry import retry_forever
from jobfleet_worker.run.deferral import LONGEST_DEFERRAL, Deferral
from jobfleet_worker.run.rate_gate import RateGate
from jobfleet_worker.run.storage_patience import StoragePatience, log_delays

DELIVERY_FAILED = "delivery.failed"
DEAD_LETTER_DELAYED = "dead_letter.delayed"
MESSAGE_MALFORMED = "message.malformed"

_log = structlog.get_logger()


class UnclaimedMessages:
    """Puts a message off, finishes an ended job, or dead-letters a message that is not a request.

    Each ends so that the caller may acknowledge the message.
    """

    def __init__(
        self,
        *,
        deferral: Deferral,
        rate_gate: RateGate,
        index: JobIndex,
        ending: Ending,
        dead_letters: DeadLetterStore,
        clock: Clock,
        patience: StoragePatience,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._deferral = deferral
        self._rate_gate = rate_gate
        self._index = index
        self._ending = ending
        self._dead_letters = dead_letters
        self._clock = clock
        self._patience = patience
        self._coder = coder

    async def handle(
        self, message: JobMessage, result: ClaimResult, *, at_most: float = LONGEST_DEFERRAL
    ) -> None:
        """Do what the claim found to be done.

        Args:
            at_most: seconds for which a suspect is put off.

        Raises:
            BackendError: storage did not answer for the length of a lease; keep the delivery.
        """
        if message.sequence is None and not isinstance(result, NoRequest):
            # From a foreign publisher. Its values are in event 1 encoded, and are sent encoded too.
            message = replace(message, request=self._coder.request(message.request))
        try:
            await self._patience.repeat(
                message, lambda: self._handle_once(message, result, at_most)
            )
        except DataMissing as error:  # the open row stays, which the rescuer goes by
            _log.error(DELIVERY_FAILED, job_id=message.request.job_id, error=str(error))

    async def put_off_after_error(self, message: JobMessage) -> None:
        """Let a message come again in a minute, to any worker; returns once that is confirmed."""
        await retry_forever(lambda: self._deferral.after_error(message), log_delays(message))

    async def set_aside(self, message: MalformedMessage) -> None:
        """Dead-letter a message that is not a job request.

        Raises:
            BackendError: storage did not answer for the length of a lease; requeue the delivery.
        """
        _log.warning(MESSAGE_MALFORMED, message_id=message.message_id, reason=message.reason)
        await self._patience.wait(
            lambda: self._dead_letters.add(message, self._clock.now()),
            lambda error: _log.warning(DEAD_LETTER_DELAYED, error=str(error)),
        )

    async def _handle_once(self, message: JobMessage, result: ClaimResult, at_most: float) -> None:
        match result:
            case Busy(_, head):
                await self._deferral.until_free(message, head)
            case Suspect(head):
                await self._deferral.until_alone(message, head, at_most=at_most)
            case Wait(head, until):
                await self._deferral.until_due(message, head, until)
            case LimitFull(head, demand):
                await self._deferral.until_lock_slot_is_free(message, head, demand)
            case RateFull():
                await self._rate_gate.put_off(message, result)
            case Paused(head, pause):
                await self._deferral.while_paused(message, head, pause)
            case Attended(head):
                await self._index.record([head])
            case Ended(head):
                await self._ending.conclude(head)
            case NoRequest(reason):
                await self._keep_apart(message, reason)
            case ForNewer(head, reason):
                await self._deferral.until_newer(message, head, reason)
            case Claimed():
                raise AssertionError("a claimed job is run")
            case never:
                assert_never(never)

    async def _keep_apart(self, message: JobMessage, reason: str) -> None:
        request = message.request
        _log.warning(MESSAGE_MALFORMED, message_id=request.job_id, reason=reason)
        body = message.body or encode(request.to_json())
        malformed = MalformedMessage(body, reason, request.job_id)
        await self._dead_letters.add(malformed, self._clock.now())
