"""Events as rows of the audit table, by the names and types of its public description."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from azure.data.tables import EdmType, EntityProperty

from jobfleet_backends.azure.column_kinds import check_kinds
from jobfleet_contracts.codec import decode, encode_text
from jobfleet_contracts.errors import InvalidRequest, RowUnreadable
from jobfleet_contracts.event import (
    MAX_TAKEOVERS,
    Event,
    JobFacts,
    JobState,
    held_locks_of_text,
    held_locks_to_text,
)
from jobfleet_contracts.state import State

_LAST_SEQUENCE = 9_999_999_999
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
HASH_COLUMNS = ("Salt", "DataHash", "TextHash", "Hash")


def row_key(sequence: int) -> str:
    """Return the key of an event: the newest comes first."""
    return f"{_LAST_SEQUENCE - sequence:010d}"


def sequence_of(key: str) -> int:
    """Return the sequence that a row key names, 0 if it names none."""
    return _LAST_SEQUENCE - int(key) if key.isdecimal() else 0


def event_to_entity(event: Event) -> dict[str, Any]:
    """Return the row of an event; what is unknown or does not hold is left out."""
    after = event.after
    entity: dict[str, Any] = {
        "PartitionKey": event.facts.job_id,
        "RowKey": row_key(after.sequence),
        "Sequence": after.sequence,
        "Attempt": after.attempt,
        "Epoch": after.epoch,
        "OccurredAt": event.occurred_at,
        "EventId": event.event_id,
        "Status": event.status,
        "Message": event.message,
        "State": after.state.value,
        "AttemptsUsed": after.attempts_used,
        "MaxAttempts": after.max_attempts,
        "Incarnation": after.incarnation,
        **facts_to_columns(event.facts),
    }
    optional: dict[str, Any] = {
        "WorkerId": event.worker_id,
        "Holder": after.worker_id,
        "Lock": after.lock,
        "LockTurn": after.lock_turn,
        "Locks": held_locks_to_text(after.locks),
        "DueAt": after.due_at,
        "DurationMs": _int64(event.duration_ms),
        "Sent": after.sent or None,
        "CancelRequested": after.cancel_requested or None,
        "Takeovers": after.takeovers or None,
        "MaxTakeovers": None if after.max_takeovers == MAX_TAKEOVERS else after.max_takeovers,
        "Dismissed": after.dismissed or None,
        "LifecycleBefore": after.lifecycle_before or None,
        "Data": encode_text(event.data) if event.data else None,
        "Salt": event.salt,
        "DataHash": event.data_hash,
        "TextHash": event.text_hash,
        "Hash": event.hash,
    }
    entity.update((name, value) for name, value in optional.items() if value is not None)
    return entity


def entity_to_event(entity: Mapping[str, Any]) -> Event:
    """Read a row of the audit table, or its copy in the timeline.

    Raises:
        RowUnreadable: it was edited until nothing follows from it.
    """
    try:
        return _read_event(entity)
    except _UNREADABLE as error:
        job_id, sequence = _place_of(entity)
        raise RowUnreadable(job_id, sequence, f"{type(error).__name__}: {error}") from error


def _read_event(entity: Mapping[str, Any]) -> Event:
    check_kinds(entity)
    data = entity.get("Data")
    return Event(
        facts=columns_to_facts(str(entity.get("JobId", entity["PartitionKey"])), entity),
        after=_state(entity),
        event_id=entity["EventId"],
        status=entity["Status"],
        message=entity["Message"],
        occurred_at=plain_time(entity["OccurredAt"]),
        worker_id=entity.get("WorkerId"),
        duration_ms=_plain_int(entity.get("DurationMs")),
        data=_data(data),
        salt=entity.get("Salt"),
        data_hash=entity.get("DataHash"),
        text_hash=entity.get("TextHash"),
        hash=entity.get("Hash"),
    )


def entity_to_event_or_stand_in(entity: Mapping[str, Any]) -> Event:
    """A row may have been edited by hand: one that cannot be read must not hide all others."""
    try:
        return _read_event(entity)
    except _UNREADABLE as error:
        return Event.unreadable(*_place_of(entity), f"{type(error).__name__}: {error}")


def _place_of(entity: Mapping[str, Any]) -> tuple[str, int]:
    """Return job and sequence; an edited column may hold anything."""
    job_id = str(entity.get("JobId", entity["PartitionKey"]))
    stored = entity.get("Sequence", 0)
    return job_id, sequence_of(str(entity["RowKey"])) or (stored if type(stored) is int else 0)


def _data(text: str | None) -> dict[str, Any]:
    try:
        found = decode(text) if text else {}
    except InvalidRequest as error:
        raise ValueError(f"Data: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("Data is not a JSON object")
    return found


def _state(entity: Mapping[str, Any]) -> JobState:
    return JobState(
        state=State(entity["State"]),
        sequence=entity["Sequence"],
        epoch=entity["Epoch"],
        attempt=entity["Attempt"],
        attempts_used=entity["AttemptsUsed"],
        max_attempts=entity["MaxAttempts"],
        incarnation=entity["Incarnation"],
        worker_id=entity.get("Holder"),
        lock=entity.get("Lock"),
        lock_turn=entity.get("LockTurn"),
        locks=held_locks_of_text(entity.get("Locks")),
        due_at=plain_optional_time(entity.get("DueAt")),
        sent=entity.get("Sent", False),
        cancel_requested=entity.get("CancelRequested", False),
        takeovers=entity.get("Takeovers", 0),
        max_takeovers=entity.get("MaxTakeovers", MAX_TAKEOVERS),
        dismissed=entity.get("Dismissed", False),
        lifecycle_before=entity.get("LifecycleBefore", 0),
    )


def facts_to_columns(facts: JobFacts) -> dict[str, Any]:
    """Return what a job is, without its id."""
    columns: dict[str, Any] = {
        "JobName": facts.job_name,
        "JobType": facts.job_type,
        "Queue": facts.queue,
        "Priority": facts.priority,
        "CreatedAt": facts.created_at,
    }
    if facts.lock_key is not None:
        columns["LockKey"] = facts.lock_key
    if facts.lock_slots > 1:
        columns["LockSlots"] = facts.lock_slots
    return columns


def columns_to_facts(job_id: str, entity: Mapping[str, Any]) -> JobFacts:
    """Read what a job is."""
    return JobFacts(
        job_id=job_id,
        job_name=entity["JobName"],
        job_type=entity["JobType"],
        queue=entity["Queue"],
        priority=entity["Priority"],
        lock_key=entity.get("LockKey"),
        created_at=plain_time(entity["CreatedAt"]),
        lock_slots=entity.get("LockSlots", 1),
    )


def plain_time(value: datetime) -> datetime:
    """Return a plain aware UTC time; the library's own class carries the text that came."""
    return datetime.combine(value.date(), value.time(), UTC)


def plain_optional_time(value: datetime | None) -> datetime | None:
    """Like ``plain_time``, ``None`` for ``None``."""
    return None if value is None else plain_time(value)


def _int64(value: int | None) -> EntityProperty | None:
    return None if value is None else EntityProperty(value, EdmType.INT64)


def _plain_int(value: Any) -> int | None:
    return int(value.value) if isinstance(value, EntityProperty) else value
