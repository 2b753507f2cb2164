"""Fields of a job request in their wire form, from the options of a submit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobfleet_publisher.submit_options import JobOptions
    from jobfleet_publisher.then import Then


def request_fields(options: JobOptions) -> dict[str, Any]:
    """Return a request's fields in their wire form, as options name them."""
    return {
        "jobName": options.get("name"),
        "description": options.get("description"),
        "priority": options.get("priority"),
        "queue": options.get("queue"),
        "lockKey": options.get("lock_key"),
        "lockSlots": options.get("lock_slots"),
        "limits": None if (limits := options.get("limits")) is None else list(limits),
        "runAt": options.get("run_at"),
        "maxAttempts": options.get("max_attempts"),
        "onLost": options.get("on_lost"),
        "maxTakeovers": options.get("max_takeovers"),
        "timeoutSeconds": seconds_of(options.get("timeout")),
        "retryDelaySeconds": seconds_of(options.get("retry_delay")),
        "callbackUrl": options.get("callback_url"),
        **steps_field(options.get("then")),
    }


def steps_field(then: Sequence[Then] | None) -> dict[str, Any]:
    """Return the field of the jobs that follow.

    Raises:
        InvalidRequest: names the one that is no ``Then``.
    """
    if not then:
        return {"then": None}
    from jobfleet_publisher.then import steps_to_json

    return {"then": steps_to_json(then, "then")}


def seconds_of(value: timedelta | float | None) -> float | None:
    """Return a span in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value
