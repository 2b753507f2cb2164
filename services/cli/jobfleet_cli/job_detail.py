"""A job as ``GET /api/jobs/{jobId}`` gives it, folded from its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.credentials import without_credentials
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.submission import request_of


def job_detail(events: Sequence[Event]) -> dict[str, Any]:
    """Return the job's JSON.

    Args:
        events: complete history, oldest first, large data resolved.
    """
    last, request = events[-1], request_of(events[0])
    after = last.after
    ended = last if after.state.is_terminal else None
    return {
        "jobId": last.job_id,
        "jobName": last.facts.job_name,
        "type": last.facts.job_type,
        "state": after.state.value,
        "queue": last.facts.queue,
        "priority": last.facts.priority,
        "lockKey": last.facts.lock_key,
        "attempt": after.attempt,
        "attempts": after.attempt,
        "maxAttempts": after.max_attempts,
        "epoch": after.epoch,
        "workerId": after.worker_id,
        "createdAt": format_time(last.facts.created_at),
        "runAt": format_optional_time(request.run_at),
        "startedAt": _time_of(_last_of(events, Status.STARTED)),
        "completedAt": _time_of(_ending(events) if ended else None),
        "updatedAt": format_time(last.occurred_at),
        "nextRetryAt": format_optional_time(
            after.due_at if after.state is State.RETRYING else None
        ),
        "result": _last_value(events, "result") if after.state is State.COMPLETED else None,
        "lastError": _last_value(events, "error"),
        "lastResponse": _last_value(events, "response"),
        "payload": without_credentials(request.payload),
        "context": request.context,
        "events": [event.to_json() for event in events],
    }


def _last_of(events: Sequence[Event], kind: Status) -> Event | None:
    return next((event for event in reversed(events) if event.kind is kind), None)


def _ending(events: Sequence[Event]) -> Event | None:
    """The terminal event; a dismissal after it ends nothing."""
    return next((e for e in reversed(events) if e.kind is not Status.DISMISSED), None)


def _time_of(event: Event | None) -> str | None:
    return None if event is None else format_time(event.occurred_at)


def _last_value(events: Sequence[Event], name: str) -> Any:
    return next((event.data[name] for event in reversed(events) if name in event.data), None)
