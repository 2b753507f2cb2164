"""Rows of the index: keys, open rows with their hints, the timeline's copies, counters.

A job's rows share one partition, so that one transaction writes whatever is due. Within
a partition the first letter of the row key tells the kind:

* ``c-<hour>-<writer>``: how many jobs one writer saw ending in an hour, see ``EndedCounter``.
* ``o-<job>-<incarnation>``: an open row.
* ``t-<inverted microseconds>-<job>-<inverted sequence>``: a copy of an event, newest first.

Hints of an open row lie in four columns, ``Hint0`` to ``Hint3``, by sequence modulo four, and each
tells its sequence; the highest counts. So writers that cannot read may merge in any order. A stale
writer overwrites a newer hint only in the rare case that it is late by a multiple of four. A row
without ``OpenedAt`` is orphaned: a hint that came after the row was removed. It is not an open row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from jobfleet_backends.azure.column_kinds import check_hint, check_kinds
from jobfleet_backends.azure.rows import (
    HASH_COLUMNS,
    columns_to_facts,
    event_to_entity,
    facts_to_columns,
    plain_optional_time,
    plain_time,
)
from jobfleet_contracts.codec import (
    decode,
    encode_text,
    format_optional_time,
    format_time,
    parse_optional_time,
    parse_time,
)
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, JobRow, OpenRow, copied_data
from jobfleet_contracts.job_locks import locks_after, locks_of_text, locks_to_text
from jobfleet_contracts.state import State, step_of

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, InvalidRequest)
"""What reading a row raises that was edited by hand."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND = 9_999_999_999_999_999
_LAST_SEQUENCE = 9_999_999_999
_SLOTS = 4


def open_key(job_id: str, incarnation: int) -> str:
    """Return the row key of an open row."""
    return f"o-{job_id}-{incarnation:05d}"


def timeline_key(event: Event) -> str:
    """Return the row key of an event's copy; the same for each repetition."""
    return indexed_key(IndexedEvent(event.job_id, event.sequence, event.occurred_at))


def indexed_key(event: IndexedEvent) -> str:
    """Return the same from the place of an event alone."""
    inverted = _LAST_SEQUENCE - event.sequence
    return f"{time_key(event.occurred_at)}-{event.job_id}-{inverted:010d}"


def time_key(moment: datetime) -> str:
    """Return how row keys of the timeline begin at a time; later times come first."""
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
    # Clamped, since a filter may name the year 1: one digit more would sort elsewhere.
    return f"t-{_LAST_MICROSECOND - min(max(microseconds, 0), _LAST_MICROSECOND):016d}"


def key_time(row_key: str) -> datetime:
    """Return the time within a row key of the timeline.

    Raises:
        ValueError: it is none.
    """
    return _EPOCH + timedelta(microseconds=_LAST_MICROSECOND - int(row_key[2:18]))


def event_to_timeline(event: Event, shard: str) -> dict[str, Any]:
    """Return the timeline's copy of an event, without salt and hashes."""
    entity = event_to_entity(event)
    for name in HASH_COLUMNS:
        entity.pop(name, None)
    entity["PartitionKey"] = shard
    entity["RowKey"] = timeline_key(event)
    entity["JobId"] = event.job_id
    entity["TypeKey"] = event.facts.job_type.casefold()  # tables compare exactly
    if "Data" in entity:
        entity["Data"] = copied_data(entity["Data"])
    return entity


def open_to_entity(row: OpenRow, shard: str) -> dict[str, Any]:
    """Return the columns of a new open row; merging them into an orphaned row keeps its hints."""
    entity: dict[str, Any] = {
        **row_identity(shard, row.facts.job_id, row.incarnation),
        "JobId": row.facts.job_id,
        "Incarnation": row.incarnation,
        "OpenedAt": row.opened_at,
        "UpdatedAt": row.updated_at,
        "State": row.state.value,
        **facts_to_columns(row.facts),
    }
    if row.due_at is not None:
        entity["DueAt"] = row.due_at
    if row.lock is not None:
        entity["Lock"] = row.lock
    if row.sent:
        entity["Sent"] = True
    if row.sequence:
        entity |= _hint(row.sequence, _open_facts(row))
    if row.published:
        entity |= published_hint(row.published)
    return entity


def row_identity(shard: str, job_id: str, incarnation: int) -> dict[str, str]:
    """Return the keys of an open row."""
    return {"PartitionKey": shard, "RowKey": open_key(job_id, incarnation)}


def event_hint(event: Event) -> dict[str, Any]:
    """Return the column that an event changes in the open row of its job."""
    after = event.after
    return _hint(
        after.sequence,
        {
            "sequence": after.sequence,
            "state": after.state.value,
            "status": event.status,
            "updatedAt": format_time(event.occurred_at),
            "lock": after.lock,
            "dueAt": format_optional_time(after.due_at),
            "sent": after.sent,
            "attempt": after.attempt,
            "maxAttempts": after.max_attempts,
            "epoch": after.epoch,
            "workerId": after.worker_id,
            "message": cut_text(event.message, 500),
            "steps": event.steps,
            "locks": locks_to_text(locks_after(event)),
        },
    )


def published_hint(sequence: int) -> dict[str, Any]:
    """Return the column that a confirmed message changes; the highest of the four counts."""
    return {f"Published{sequence % _SLOTS}": sequence}


def is_orphaned(entity: Mapping[str, Any]) -> bool:
    """Whether the row holds only a late hint: its open row was removed before."""
    return "OpenedAt" not in entity


def is_confirmed(entity: Mapping[str, Any]) -> bool:
    """Whether this is the open row of a job: one whose event is known to stand."""
    marks = (f"{name}{slot}" in entity for name in ("Hint", "Published") for slot in range(_SLOTS))
    return not is_orphaned(entity) and any(marks)


def entity_to_open(entity: Mapping[str, Any]) -> OpenRow:
    """Read an open row with its newest hint."""
    check_kinds(entity)
    hint = _newest(entity)
    return OpenRow(
        facts=columns_to_facts(entity["JobId"], entity),
        incarnation=entity["Incarnation"],
        state=State(hint.get("state", entity["State"])),
        sequence=hint.get("sequence", 0),
        opened_at=plain_time(entity["OpenedAt"]),
        updated_at=_updated_at(entity, hint),
        lock=hint.get("lock") if hint else entity.get("Lock"),
        due_at=_due_at(entity, hint),
        sent=hint.get("sent", False) if hint else entity.get("Sent", False),
        published=max(_slots(entity, "Published"), default=0),
    )


def entity_to_job(entity: Mapping[str, Any]) -> JobRow:
    """Read an open row as a line of a list."""
    check_kinds(entity)
    hint = _newest(entity)
    state = State(hint.get("state", entity["State"]))
    return JobRow(
        facts=columns_to_facts(entity["JobId"], entity),
        state=state,
        status=hint.get("status", state.value.capitalize()),
        sequence=hint.get("sequence", 0),
        attempt=hint.get("attempt", 0),
        max_attempts=hint.get("maxAttempts", 1),
        incarnation=entity["Incarnation"],
        epoch=hint.get("epoch", 0),
        worker_id=hint.get("workerId"),
        message=hint.get("message", ""),
        updated_at=_updated_at(entity, hint),
        due_at=_due_at(entity, hint),
        step=step_of(hint.get("status", "")),
        steps=hint.get("steps"),
        locks=locks_of_text(hint.get("locks")),
    )


def entity_to_job_or_stand_in(entity: Mapping[str, Any]) -> JobRow:
    """The index is a copy: a row in it that cannot be read must not hide all others."""
    try:
        return entity_to_job(entity)
    except UNREADABLE as error:
        return JobRow.unreadable(str(entity.get("JobId", "")), f"{type(error).__name__}: {error}")


def state_of(entity: Mapping[str, Any]) -> State | None:
    """Return the state alone of an open row; ``None`` if it cannot be read."""
    try:
        return State(_newest(entity).get("state", entity.get("State")))
    except UNREADABLE:
        return None


def readable_open_rows(entities: Iterable[Mapping[str, Any]]) -> list[OpenRow]:
    """Return those that can be read; orphaned and unconfirmed ones are left out too."""
    rows: list[OpenRow] = []
    for entity in entities:
        with suppress(*UNREADABLE):
            if is_confirmed(entity):
                rows.append(entity_to_open(entity))
    return rows


def _open_facts(row: OpenRow) -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "state": row.state.value,
        "updatedAt": format_time(row.updated_at),
        "lock": row.lock,
        "dueAt": format_optional_time(row.due_at),
        "sent": row.sent,
    }


def _hint(sequence: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"Hint{sequence % _SLOTS}": encode_text(facts)}


def _newest(entity: Mapping[str, Any]) -> Mapping[str, Any]:
    hints = [decode(text) for text in _slots(entity, "Hint")]
    for hint in hints:
        check_hint(hint)
    return max(hints, key=lambda hint: hint["sequence"], default={})


def _slots(entity: Mapping[str, Any], name: str) -> Iterator[Any]:
    for slot in range(_SLOTS):
        if (value := entity.get(f"{name}{slot}")) is not None:
            yield value


def _updated_at(entity: Mapping[str, Any], hint: Mapping[str, Any]) -> datetime:
    return parse_time(hint["updatedAt"]) if hint else plain_time(entity["UpdatedAt"])


def _due_at(entity: Mapping[str, Any], hint: Mapping[str, Any]) -> datetime | None:
    if hint:
        return parse_optional_time(hint.get("dueAt"))
    return plain_optional_time(entity.get("DueAt"))
