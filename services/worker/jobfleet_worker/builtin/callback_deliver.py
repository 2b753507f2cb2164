"""``callback.deliver``: posts a job's final result to the address that the job named.

It signs with the fleet's secret, so address and body come from the trail alone: a payload that
chose them would have anything signed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobfleet_contracts.errors import ActionRefused, KeyUnavailable
from jobfleet_contracts.internal_job import CALLBACK_TYPE
from jobfleet_contracts.ports import AuditTrail, Clock, PayloadStore
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.final_result import FinalResult, callback_job_id, final_result_of
from jobfleet_protocol.actions.signing_keys import delivery_keys
from jobfleet_protocol.actions.target_keys import TargetKeys
from jobfleet_worker.builtin.passed_on import passed_on
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.handlers.verdicts import Defer, Fail
from jobfleet_worker.outbound.http_call import HttpAnswer, HttpCall
from jobfleet_worker.outbound.http_client import HttpClient
from jobfleet_worker.outbound.refusals import CallFailed, CallRefused
from jobfleet_worker.outbound.retry_after import retry_after

CALLBACK_DELIVER = CALLBACK_TYPE
KEY_AWAITED = timedelta(seconds=5)
"""Until another worker may take the delivery of an encrypted result."""
_GONE = 410


class CallbackDelivery(BaseModel):
    """Whose final result to post."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    job_id: str
    incarnation: int = Field(ge=1)


class CallbackDeliverHandler:
    """Runs ``callback.deliver`` jobs: signed after Standard Webhooks, and by a plain HMAC."""

    def __init__(
        self,
        *,
        client: HttpClient,
        clock: Clock,
        trail: AuditTrail,
        payloads: PayloadStore,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._client = client
        self._clock = clock
        self._trail = trail
        self._payloads = payloads
        options = client.options
        self._keys = TargetKeys(
            options.callback_secrets, options.callback_targets, make=delivery_keys
        )

    async def run(self, payload: CallbackDelivery, context: JobContext) -> dict[str, Any]:
        """Post the result.

        Raises:
            Fail: there is nothing to deliver, as where the job's history was removed.
            Defer: the result is encrypted, and this worker lacks the codec or the key.
            CallFailed: anything but 2xx: the receiver may come to its senses within the day.
            CallRefused: 410, which asks us to stop.
        """
        result = await self._result(payload, context)
        keys = self._keys.of_url(result.url)
        signed = keys.sign(result.body, message_id=context.job.job_id, at=self._clock.now())
        call = HttpCall(
            job_type=CALLBACK_DELIVER,
            method="POST",
            url=result.url,
            own_headers=passed_on(context) | signed | {"Content-Type": "application/json"},
            body=result.body,
            timeout_seconds=self._client.options.http_timeout_seconds,
        )
        answer = await self._client.call(call)
        if 200 <= answer.status < 300:  # noqa: PLR2004
            return answer.to_json()
        raise _not_taken(answer)

    async def _result(self, payload: CallbackDelivery, context: JobContext) -> FinalResult:
        job_id, incarnation = payload.job_id, payload.incarnation
        if context.job.job_id != callback_job_id(job_id, incarnation):
            raise Fail(f"not the callback job of incarnation {incarnation} of job {job_id}")
        try:
            return await final_result_of(
                job_id,
                incarnation,
                trail=self._trail,
                payloads=self._payloads,
                coder=self._coder,
            )
        except KeyUnavailable as missing:
            raise Defer(KEY_AWAITED, str(missing)) from missing
        except ActionRefused as refusal:
            raise Fail(f"nothing to deliver: {refusal}") from refusal


def _not_taken(answer: HttpAnswer) -> CallFailed | CallRefused:
    details = {"response": answer.to_json()}
    if answer.status == _GONE:
        return CallRefused("the receiver answered 410: it wants no callbacks", details=details)
    message = f"the receiver answered {answer.status}"
    return CallFailed(message, after=retry_after(answer), details=details)
