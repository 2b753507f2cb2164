"""One event as a line of ``audit export``: all columns of its row, and its hashes.

A masked line has no salt: a guess of what it hides cannot be checked. Its ``hash`` can be computed
anew from its other columns, so that the linkage of a masked export can be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jobfleet_contracts.codec import (
    format_optional_time,
    format_time,
    parse_time,
)
from jobfleet_contracts.control import (
    ControlEntry,
    ControlKind,
    ControlSubject,
    check_control_name,
)
from jobfleet_contracts.credentials import masked, masked_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import MASKED_SALT, Event, HeldLock, JobFacts, JobState
from jobfleet_contracts.lease import MAX_SLOTS
from jobfleet_contracts.state import State

T = TypeVar("T")
_MOST_COUNT = 2**63
_KINDS: Mapping[tuple[str, ...], tuple[type, ...]] = {
    ("jobId", "jobName", "type", "queue", "createdAt", "eventId", "status", "message"): (str,),
    ("timestamp", "state"): (str,),
    ("workerId", "claimedBy", "lock", "lockKey", "dueAt"): (str, type(None)),
    ("salt", "dataHash", "textHash", "hash"): (str, type(None)),
    ("sequence", "epoch", "attempt", "attemptsUsed", "maxAttempts", "incarnation"): (int,),
    ("priority", "lockSlots", "takeovers", "maxTakeovers", "lifecycleBefore"): (int,),
    ("durationMs", "lockTurn"): (int, type(None)),
    ("sent", "cancelRequested", "dismissed", "erased"): (bool,),
    ("data",): (dict,),
    ("locks",): (list,),
}
"""What each column of an event's line may be, by its names."""

_ENTRY = {"subject", "name", "sequence", "entryId", "kind", "by", "timestamp", "reason"}
_ENTRY |= {"details", "state"}
"""Columns of an entry's line."""


def export_line(event: Event, *, raw: bool) -> dict[str, Any]:
    """Return the event as JSON; ``raw`` with credentials and salt, as it is stored."""
    facts, after = event.facts, event.after
    shown = event.to_raw_json() | {"salt": event.salt} if raw else event.to_json()
    return shown | {
        "queue": facts.queue,
        "priority": facts.priority,
        "lockKey": facts.lock_key,
        "lockSlots": facts.lock_slots,
        "createdAt": format_time(facts.created_at),
        "attemptsUsed": after.attempts_used,
        "maxAttempts": after.max_attempts,
        "incarnation": after.incarnation,
        "claimedBy": after.worker_id,
        "lock": after.lock,
        "lockTurn": after.lock_turn,
        "locks": [{"lock": each.lock, "turn": each.turn} for each in after.locks],
        "dueAt": format_optional_time(after.due_at),
        "sent": after.sent,
        "cancelRequested": after.cancel_requested,
        "takeovers": after.takeovers,
        "maxTakeovers": after.max_takeovers,
        "dismissed": after.dismissed,
        "lifecycleBefore": after.lifecycle_before,
        "dataHash": event.data_hash,
        "textHash": event.text_hash,
        "hash": event.hash,
        "erased": event.is_erased,
    }


def control_line(entry: ControlEntry, *, raw: bool) -> dict[str, Any]:
    """Return an entry of the control log as JSON; its ``subject`` tells it from an event."""
    show = dict if raw else masked
    return {
        "subject": entry.subject,
        "name": entry.name,
        "sequence": entry.sequence,
        "entryId": entry.entry_id,
        "kind": entry.kind,
        "by": entry.by,
        "timestamp": format_time(entry.occurred_at),
        "reason": entry.reason if raw else masked_text(entry.reason),
        "details": show(entry.details),
        "state": show(entry.state),
    }


def entry_of_line(line: Mapping[str, Any]) -> ControlEntry:
    """Read an entry of the control log from a raw export.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        if (kind := ControlKind(line["kind"])) is ControlKind.NEWER:
            raise ValueError(f"kind {str(line['kind'])[:50]!r} is of a newer release")
        return ControlEntry(
            subject=_parsed(line, "subject", ControlSubject),
            name=check_control_name(line["name"], what="name"),
            sequence=_count(line["sequence"]),
            entry_id=_of(str, line, "entryId"),
            kind=kind,
            by=_of(str, line, "by"),
            occurred_at=_parsed(line, "timestamp", parse_time),
            reason=_of(str, line, "reason"),
            details=_of(dict, line, "details"),
            state=_of(dict, line, "state"),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidRequest(f"not a line that `jobfleet audit export` wrote: {error}") from error


def _of(kind: type[T], line: Mapping[str, Any], name: str) -> T:
    value = line[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {str(value)[:50]!r}")
    return value


def _parsed(line: Mapping[str, Any], name: str, parse: Callable[[str], T]) -> T:
    text = _of(str, line, name)
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text[:50]!r}") from error


def _count(value: Any) -> int:
    if type(value) is not int or not 0 < value < _MOST_COUNT:
        raise ValueError(f"sequence is {str(value)[:50]!r}")
    return value


def is_control_line(line: Any) -> bool:
    """Whether a line of an export is meant as an entry of the control log."""
    return isinstance(line, Mapping) and "subject" in line and "jobId" not in line


def check_control_line(line: Mapping[str, Any]) -> None:
    """Check that it has the columns of an entry, so that no event is passed over as one.

    Raises:
        InvalidRequest: it has others.
    """
    if line.keys() != _ENTRY:
        raise InvalidRequest("neither an event nor an entry of the control log")


def event_of_line(line: Mapping[str, Any]) -> Event:
    """Read a line of an export.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        _check_kinds(line)
        return Event(
            facts=JobFacts(
                line["jobId"],
                line["jobName"],
                line["type"],
                line["queue"],
                line["priority"],
                line["lockKey"],
                _parsed(line, "createdAt", parse_time),
                line["lockSlots"],
            ),
            after=_state(line),
            event_id=line["eventId"],
            status=line["status"],
            message=line["message"],
            occurred_at=_parsed(line, "timestamp", parse_time),
            worker_id=line["workerId"],
            duration_ms=line["durationMs"],
            data=line["data"],
            salt=line.get("salt", None if line.get("erased") else MASKED_SALT),
            data_hash=line["dataHash"],
            text_hash=line["textHash"],
            hash=line["hash"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidRequest(f"not a line that `jobfleet audit export` wrote: {error}") from error


def _check_kinds(line: Mapping[str, Any]) -> None:
    """A wrong value in any other column is found by the hash; these steer the check itself."""
    for name, kind in (("jobId", str), ("status", str), ("sequence", int), ("data", dict)):
        if not isinstance(line[name], kind):
            raise TypeError(f"{name} is {line[name]!r}")
    if line.get("salt") == MASKED_SALT:
        raise ValueError("salt is empty")  # it would stand for a masked line


def check_columns(line: Mapping[str, Any]) -> None:
    """Check that each column of an event's line is of the kind that a database holds there.

    Raises:
        InvalidRequest: names the column.
    """
    for names, kinds in _KINDS.items():
        for name in names:
            if type(value := line.get(name)) not in kinds or not _is_storable(value):
                raise InvalidRequest(f"{name}: cannot be {str(value)[:50]!r}", field=name)
    if not 1 <= line["lockSlots"] <= MAX_SLOTS:
        raise InvalidRequest(f"lockSlots: cannot be {line['lockSlots']}", field="lockSlots")
    for lock in line["locks"]:
        if not isinstance(lock, Mapping) or [*map(type, lock.values())] != [str, int]:
            raise InvalidRequest(f"locks: cannot hold {str(lock)[:50]!r}", field="locks")


def _is_storable(value: Any) -> bool:
    match value:
        case int():
            return abs(value) < _MOST_COUNT
        case str():
            return "\0" not in value
        case _:
            return True


def _state(line: Mapping[str, Any]) -> JobState:
    return JobState(
        state=_parsed(line, "state", State),
        sequence=line["sequence"],
        epoch=line["epoch"],
        attempt=line["attempt"],
        attempts_used=line["attemptsUsed"],
        max_attempts=line["maxAttempts"],
        incarnation=line["incarnation"],
        worker_id=line["claimedBy"],
        lock=line["lock"],
        lock_turn=line["lockTurn"],
        locks=tuple(HeldLock(each["lock"], each["turn"]) for each in line["locks"]),
        due_at=None if line["dueAt"] is None else _parsed(line, "dueAt", parse_time),
        sent=line["sent"],
        cancel_requested=line["cancelRequested"],
        takeovers=line["takeovers"],
        max_takeovers=line["maxTakeovers"],
        dismissed=line["dismissed"],
        lifecycle_before=line["lifecycleBefore"],
    )
