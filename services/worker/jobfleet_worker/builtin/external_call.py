"""``external.call``: asks a third party, then waits for its callback without holding anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import encode, format_time
from jobfleet_contracts.outcome import Waiting
from jobfleet_protocol.actions.target_keys import TargetKeys
from jobfleet_worker.builtin.http_request import unexpected
from jobfleet_worker.builtin.passed_on import passed_on
from jobfleet_worker.callback_wait import CallbackWait
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.handlers.verdicts import Fail
from jobfleet_worker.outbound.http_call import HttpCall
from jobfleet_worker.outbound.http_client import HttpClient

EXTERNAL_CALL = "external.call"


class ExternalCall(BaseModel):
    """Whom to ask, and what.

    Attributes:
        payload: the third party finds it in the body under this name, beside ``jobId``,
            ``callbackUrl`` and ``deadline``.
        callback_secret: name of the target whose secret signs the answer; by the URL's host where
            none is given.
        timeout_seconds: limits the request; the job's own ``timeoutSeconds`` limits its wait.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    target_url: str = Field(min_length=1, max_length=8_000)
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    payload: JsonValue = None
    callback_secret: str | None = Field(default=None, pattern="^[A-Za-z0-9_]{1,100}$")
    timeout_seconds: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)


class ExternalCallHandler:
    """Runs ``external.call`` jobs."""

    def __init__(self, *, client: HttpClient) -> None:
        self._client = client
        options = client.options
        self._keys = TargetKeys(options.callback_secrets, options.callback_targets)

    async def run(self, payload: ExternalCall, context: JobContext, wait: CallbackWait) -> Waiting:
        """Enter the wait, send the request, note that it was taken.

        Raises:
            TargetForbidden, CallRefused: the job fails.
            CallFailed, CircuitOpen: before the wait an ordinary ending; in it the request is
                repeated until the deadline.
        """
        call = HttpCall(
            job_type=EXTERNAL_CALL,
            method=payload.method,
            url=payload.target_url,
            headers=payload.headers,
            own_headers=passed_on(context),
            timeout_seconds=payload.timeout_seconds or self._client.options.http_timeout_seconds,
        ).with_default_headers(Content_Type="application/json")
        callback_url = self._callback_url(payload, context)
        self._client.check(call)
        deadline = wait.deadline or await wait.enter(context.limit_seconds)
        body = encode(_body(payload, context, callback_url, deadline))
        answer = await self._client.call(replace(call, body=body))
        if not 200 <= answer.status < 300:  # noqa: PLR2004
            raise unexpected(answer)
        await wait.sent(f"the third party answered {answer.status}", {"response": answer.to_json()})
        return Waiting(deadline)

    def _callback_url(self, payload: ExternalCall, context: JobContext) -> str:
        base = (self._client.options.callback_base_url or "").rstrip("/")
        if urlsplit(base).scheme not in ("http", "https"):
            raise Fail(
                "JOBFLEET_CALLBACK_BASE_URL is not set: third parties must be told where to reach "
                "the dashboard, as https://jobs.example.org"
            )
        job_id, incarnation = context.job.job_id, context.facts.incarnation
        keys = self._keys.of_request(context.job)
        if not keys and payload.callback_secret is not None:
            raise Fail(
                f"this worker has no secret {payload.callback_secret!r}, which callbackSecret "
                f"names; set JOBFLEET_CALLBACK_SECRET_{payload.callback_secret}, for the "
                "dashboards too"
            )
        token = keys.address_token(job_id, incarnation)
        return f"{base}/api/callbacks/jobs/{job_id}?incarnation={incarnation}&token={token}"


def _body(
    payload: ExternalCall, context: JobContext, callback_url: str, deadline: datetime
) -> dict[str, Any]:
    return {
        "jobId": context.job.job_id,
        "callbackUrl": callback_url,
        "deadline": format_time(deadline),
        "payload": payload.payload,
    }
