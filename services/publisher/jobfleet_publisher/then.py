"""A job that follows another one, as programs write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal, TypedDict

from jobfleet_publisher.plain_payload import plain_payload


@dataclass(frozen=True, kw_only=True)
class Then:
    """A job that jobfleet submits when the job before it has ended.

    Attributes:
        type: which handler runs it.
        payload: plain JSON, a dataclass or a pydantic model.
        when: ``success`` after a job that completed, ``failure`` after one that failed, timed out
            or was cancelled, ``always`` after either.
        results: payload keys, each with what the worker puts there at the start: ``previous``,
            the result of the job before. After a job that did not complete it is ``None``.
            ``members``, after a group: the list of its members' results.
        timeout: limit of one attempt, in seconds or as a ``timedelta``.
        then: jobs that follow this one.
    """

    type: str
    payload: Any = None
    when: Literal["success", "failure", "always"] = "success"
    results: Mapping[str, Literal["previous", "members"]] = field(default_factory=dict)
    name: str | None = None
    priority: int | None = None
    queue: str | None = None
    lock_key: str | None = None
    max_attempts: int | None = None
    timeout: timedelta | float | None = None
    on_lost: Literal["retry", "fail"] | None = None
    callback_url: str | None = None
    then: Sequence[Then] = ()

    def followed_by(self, *steps: Then) -> Then:
        """Return the same job with more jobs that follow it."""
        return replace(self, then=(*self.then, *steps))

    def to_json(self) -> dict[str, Any]:
        """Return the wire form, as a job request holds it.

        Raises:
            InvalidRequest: the payload has no form in JSON.
        """
        limit = (
            self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout
        )
        fields = {
            "type": self.type,
            "payload": plain_payload(self.payload),
            "when": None if self.when == "success" else self.when,
            "results": dict(self.results) or None,
            "jobName": self.name,
            "priority": self.priority,
            "queue": self.queue,
            "lockKey": self.lock_key,
            "maxAttempts": self.max_attempts,
            "timeoutSeconds": limit,
            "onLost": self.on_lost,
            "callbackUrl": self.callback_url,
            "then": [each.to_json() for each in self.then] or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


class ThenOptions(TypedDict, total=False):
    """Options of a :class:`Then` beside its type and payload."""

    when: Literal["success", "failure", "always"]
    results: Mapping[str, Literal["previous", "members"]]
    name: str | None
    priority: int | None
    queue: str | None
    lock_key: str | None
    max_attempts: int | None
    timeout: timedelta | float | None
    on_lost: Literal["retry", "fail"] | None
    callback_url: str | None
    then: Sequence[Then]
