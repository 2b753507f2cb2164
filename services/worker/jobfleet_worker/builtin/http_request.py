"""``http.request``: one call to a third party's server, tried again as long as that may help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import encode
from jobfleet_worker.builtin.passed_on import passed_on
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.outbound.http_call import HttpAnswer, HttpCall
from jobfleet_worker.outbound.http_client import HttpClient
from jobfleet_worker.outbound.refusals import CallFailed, CallRefused
from jobfleet_worker.outbound.retry_after import retry_after

HTTP_REQUEST = "http.request"
_PATIENCE = frozenset({408, 429})
_SERVER_TROUBLE = 500


class HttpRequest(BaseModel):
    """What to call.

    Attributes:
        payload: sent as JSON; ``body``: sent as it is. At most one of them.
        timeout_seconds: one call; unset means JOBFLEET_HTTP_TIMEOUT_SECONDS.
        expect_status: what counts as success; unset means any 2xx.
        follow_redirects: up to five, each checked like the first address.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    target_url: str = Field(min_length=1, max_length=8_000)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    payload: JsonValue = None
    body: str | None = None
    timeout_seconds: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    expect_status: int | list[int] | None = None
    follow_redirects: bool = False

    @model_validator(mode="after")
    def _one_body(self) -> HttpRequest:
        if self.payload is not None and self.body is not None:
            raise ValueError("payload (sent as JSON) and body (sent as it is) exclude each other")
        return self

    def to_call(self, own_headers: Mapping[str, str], default_timeout: float) -> HttpCall:
        """Return the call."""
        call = HttpCall(
            job_type=HTTP_REQUEST,
            method=self.method,
            url=self.target_url,
            headers=self.headers,
            own_headers=own_headers,
            body=self._content(),
            timeout_seconds=self.timeout_seconds or default_timeout,
            follow_redirects=self.follow_redirects,
        )
        if self.payload is not None:
            return call.with_default_headers(Content_Type="application/json")
        if self.body is not None:
            return call.with_default_headers(Content_Type="text/plain; charset=utf-8")
        return call

    def expects(self, status: int) -> bool:
        """Whether this status is success."""
        if self.expect_status is None:
            return 200 <= status < 300  # noqa: PLR2004
        wanted = self.expect_status
        return status in (wanted if isinstance(wanted, list) else [wanted])

    def _content(self) -> bytes | None:
        if self.payload is not None:
            return encode(self.payload)
        return None if self.body is None else self.body.encode()


class HttpRequestHandler:
    """Runs ``http.request`` jobs."""

    def __init__(self, *, client: HttpClient) -> None:
        self._client = client

    async def run(self, payload: HttpRequest, context: JobContext) -> dict[str, Any]:
        """Call and return status, headers and body.

        Raises:
            CallFailed: worth another attempt: no answer, 408, 429, 5xx.
            CallRefused: any other unexpected status.
        """
        call = payload.to_call(passed_on(context), self._client.options.http_timeout_seconds)
        answer = await self._client.call(call)
        if payload.expects(answer.status):
            return answer.to_json()
        raise unexpected(answer)


def unexpected(answer: HttpAnswer) -> CallFailed | CallRefused:
    """Return how an attempt ends on a status that is not a success."""
    details = {"response": answer.to_json()}
    message = f"the target answered {answer.status}"
    if answer.status in _PATIENCE or answer.status >= _SERVER_TROUBLE:
        return CallFailed(message, after=retry_after(answer), details=details)
    return CallRefused(message, details=details)
