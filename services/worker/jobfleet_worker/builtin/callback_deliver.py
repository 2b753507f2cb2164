"""``callback.deliver``: posts a job's final result to the address that the job named."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import encode
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.actions.ending import CALLBACK_TYPE
from jobfleet_protocol.actions.signing_keys import SigningKeys
from jobfleet_worker.builtin.passed_on import passed_on
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.outbound.http_call import HttpAnswer, HttpCall
from jobfleet_worker.outbound.http_client import HttpClient
from jobfleet_worker.outbound.refusals import CallFailed, CallRefused
from jobfleet_worker.outbound.retry_after import retry_after

CALLBACK_DELIVER = CALLBACK_TYPE
_GONE = 410


class CallbackDelivery(BaseModel):
    """Where to post what, for which job; ``body`` is the same at every attempt."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    url: str = Field(min_length=1, max_length=8_000)
    job_id: str
    body: JsonValue


class CallbackDeliverHandler:
    """Runs ``callback.deliver`` jobs: signed after Standard Webhooks, and by a plain HMAC."""

    def __init__(self, *, client: HttpClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._keys = SigningKeys(client.options.callback_secrets)

    async def run(self, payload: CallbackDelivery, context: JobContext) -> dict[str, Any]:
        """Post the result.

        Raises:
            CallFailed: anything but 2xx: the receiver may come to its senses within the day.
            CallRefused: 410, which asks us to stop.
        """
        body = encode(payload.body)
        signed = self._keys.sign(body, message_id=context.job.job_id, at=self._clock.now())
        call = HttpCall(
            job_type=CALLBACK_DELIVER,
            method="POST",
            url=payload.url,
            own_headers=passed_on(context) | signed | {"Content-Type": "application/json"},
            body=body,
            timeout_seconds=self._client.options.http_timeout_seconds,
        )
        answer = await self._client.call(call)
        if 200 <= answer.status < 300:  # noqa: PLR2004
            return answer.to_json()
        raise _not_taken(answer)


def _not_taken(answer: HttpAnswer) -> CallFailed | CallRefused:
    details = {"response": answer.to_json()}
    if answer.status == _GONE:
        return CallRefused("the receiver answered 410: it wants no callbacks", details=details)
    message = f"the receiver answered {answer.status}"
    return CallFailed(message, after=retry_after(answer), details=details)
