"""A job that follows another one, as programs write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal, TypedDict

from jobfleet_contracts.errors import InvalidRequest
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

    def to_json(self, path: str = "then") -> dict[str, Any]:
        """Return the wire form, as a job request holds it.

        Args:
            path: names this job in errors: ``then.0``.

        Raises:
            InvalidRequest: the payload has no form in JSON, or what follows is no list of ``Then``.
        """
        limit = (
            self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout
        )
        fields = {
            "type": self.type,
            "payload": plain_payload(self.payload, field=f"{path}.payload"),
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
            "then": steps_to_json(self.then, f"{path}.then") or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def steps_to_json(steps: Any, path: str) -> list[dict[str, Any]]:
    """Return the wire form of jobs that follow.

    Raises:
        InvalidRequest: names the one that is no :class:`Then`, as ``then.0``.
    """
    if not isinstance(steps, list | tuple):
        kind = type(steps).__name__
        raise InvalidRequest(f"{path}: must be a list of Then(…), not {kind}", field=path)
    return [_step(step, f"{path}.{number}") for number, step in enumerate(steps)]


def _step(step: Any, path: str) -> dict[str, Any]:
    if not isinstance(step, Then):
        kind = type(step).__name__
        raise InvalidRequest(f"{path}: must be a Then(…), not {kind}", field=path)
    return step.to_json(path)


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
