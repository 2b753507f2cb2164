"""Whether a moved event holds only values that a submit or a worker could have written.

What an event's data hold is not judged here: their digest covers them, and readers take whatever
they find there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from jobfleet_contracts.errors import InvalidRequest, WrittenByNewer
from jobfleet_contracts.event import MAX_MESSAGE_CHARACTERS, Event, JobFacts
from jobfleet_contracts.field_checks import checked_time, is_canonical_uuid, one_line
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_bounds import MAX_ATTEMPTS, MAX_TAKEOVER_LIMIT
from jobfleet_contracts.lease import is_lock_name
from jobfleet_contracts.state import status_name

LONGEST_NAME = 200
"""Characters of a worker's id, of an event's id and of each hash."""
_MOST = 2**53 - 1
"""JSON's readers in browsers know no larger whole number exactly."""


def check_event_form(event: Event) -> None:
    """Check the facts as a submit does, and all that workers and rescuers read.

    Raises:
        InvalidRequest: names the field as a line of an export does.
    """
    _check_facts(event.facts)
    _check_status(event)
    _require(is_canonical_uuid(event.event_id), "eventId", event.event_id)
    _require(len(event.message) <= MAX_MESSAGE_CHARACTERS, "message", event.message)
    _check_counts(event)
    _check_names(event)
    _check_times(event)


@lru_cache(maxsize=64)
def _check_facts(facts: JobFacts) -> None:
    """Each row of a job repeats its facts, so they are checked once for all of them."""
    given = {
        "jobId": facts.job_id,
        "jobName": facts.job_name,
        "type": facts.job_type,
        "queue": facts.queue,
        "priority": facts.priority,
        "lockKey": facts.lock_key,
        "lockSlots": facts.lock_slots,
        "createdAt": facts.created_at,
    }
    # What looks like a credential depends on the release: an earlier one may have taken the name.
    request, _ = JobRequest.parse_known(given, is_own=True)
    _require(request.job_id == facts.job_id, "jobId", facts.job_id)
    _require(facts.lock_slots == 1 or facts.lock_key is not None, "lockSlots", facts.lock_slots)


def _check_status(event: Event) -> None:
    try:
        kind = event.kind
    except WrittenByNewer as error:
        raise InvalidRequest(f"status: {error}", field="status") from error
    _require(status_name(kind, event.step) == event.status, "status", event.status)


def _check_counts(event: Event) -> None:
    after = event.after
    for field, value, least, most in (
        ("sequence", after.sequence, 1, _MOST),
        ("epoch", after.epoch, 0, _MOST),
        ("attempt", after.attempt, 0, _MOST),
        ("attemptsUsed", after.attempts_used, 0, _MOST),
        ("maxAttempts", after.max_attempts, 1, MAX_ATTEMPTS),
        ("incarnation", after.incarnation, 1, _MOST),
        ("takeovers", after.takeovers, 0, _MOST),
        ("maxTakeovers", after.max_takeovers, 0, MAX_TAKEOVER_LIMIT),
        ("lifecycleBefore", after.lifecycle_before, 0, after.sequence - 1),
        ("lockTurn", after.lock_turn, 1, _MOST),
        ("durationMs", event.duration_ms, -_MOST, _MOST),
        *(("locks", lock.turn, 1, _MOST) for lock in after.locks),
    ):
        _require(value is None or least <= value <= most, field, value)


def _check_names(event: Event) -> None:
    after = event.after
    for field, name in (("workerId", event.worker_id), ("claimedBy", after.worker_id)):
        _require(name != "", field, name)
        _check(_short_line, field, name)
    for field, name in (
        ("salt", event.salt),
        ("dataHash", event.data_hash),
        ("textHash", event.text_hash),
        ("hash", event.hash),
    ):
        _check(_short_line, field, name)
    _require(after.lock is None or is_lock_name(after.lock), "lock", after.lock)
    for lock in after.locks:
        _require(is_lock_name(lock.lock), "locks", lock.lock)


def _check_times(event: Event) -> None:
    for field, moment in (("timestamp", event.occurred_at), ("dueAt", event.after.due_at)):
        _check(_known_time, field, moment)


def _short_line(text: str | None) -> None:
    if text is not None and len(one_line(text)) > LONGEST_NAME:
        raise ValueError(f"has more than {LONGEST_NAME} characters")


def _known_time(moment: datetime | None) -> None:
    if moment is not None:
        checked_time(moment)


def _check(check: Callable[[Any], None], field: str, value: Any) -> None:
    try:
        check(value)
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from error


def _require(holds: object, field: str, value: Any) -> None:
    if not holds:
        raise InvalidRequest(f"{field}: cannot be {str(value)[:100]!r}", field=field)
