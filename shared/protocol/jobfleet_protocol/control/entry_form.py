"""What an entry of the control log holds inside, field by field: for files that others made.

A process that reads its own fleet's log shows an entry that it cannot read, and goes on. A file
that is moved in is refused instead: what its writer meant is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.control import (
    MAX_ENTRY_BYTES,
    ControlEntry,
    ControlKind,
    ControlSubject,
    check_control_size,
)
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.actions.action_journal import JOURNAL
from jobfleet_protocol.actions.bulk_action import BulkAction
from jobfleet_protocol.control import used_level
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.schedule_state import ScheduleState

Check = Callable[[Any], bool]
_LONGEST_ID = 200
_MOST = 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int and abs(value) < _MOST


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse_time(value) is not None
    except ValueError:
        return False


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_result(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != len(("job", "state", "error")):
        return False
    return isinstance(value[0], str) and all(_or_null(_is_text)(each) for each in value[1:])


_SCHEDULE: Mapping[str, Check] = {
    "definition": _is_object,
    "declaredBy": _is_text,
    "anchor": _is_time,
    "countedFrom": _is_time,
    "code": _or_null(_is_object),
    "codeDigests": _list_of(_is_text),
    "lastTick": _or_null(_is_time),
    "lastJobId": _or_null(_is_text),
    "paused": _or_null(_is_object),
    "removed": _is_flag,
}
_SCHEDULE_PAUSE: Mapping[str, Check] = {"by": _is_text, "reason": _is_text, "since": _is_time}
_LIMIT: Mapping[str, Check] = {
    "slots": _or_null(_is_number),
    "rate": _or_null(_is_text),
    "burst": _is_number,
    "removed": _is_flag,
}
_PAUSE: Mapping[str, Check] = {
    "entry": _is_number,
    "pausedBy": _is_text,
    "pausedAt": _is_time,
    "until": _or_null(_is_time),
    "reason": _is_text,
    "exempt": _numbers,
}
_ACTION: Mapping[str, Check] = {
    "action": _is_text,
    "by": _is_text,
    "reason": _is_text,
    "scope": _is_text,
    "count": _is_number,
    "askedAt": _is_time,
    "next": _is_number,
    "done": _is_number,
    "refused": _is_number,
    "batch": _numbers,
    "stopping": _is_flag,
}
_DETAILS: Mapping[str, Check] = {
    "tick": _or_null(_is_time),
    "first": _is_time,
    "jobId": _or_null(_is_text),
    "runningJobId": _is_text,
    "actionId": _is_text,
    "action": _is_text,
    "subject": _is_text,
    "name": _is_text,
    "scope": _is_text,
    "status": _is_text,
    "reason": _is_text,
    "count": _is_number,
    "done": _is_number,
    "refused": _is_number,
    "epoch": _is_number,
    "complete": _is_flag,
    "results": _list_of(_is_result),
}
"""Fields of ``details``, each of which may be left out."""
_PROMISED = ("tick", "jobId")
"""What a tick that fired must have in ``details``."""


def check_entry_form(entry: ControlEntry) -> None:
    """Check everything in an entry that some process reads.

    Raises:
        InvalidRequest: names the field, as ``state.slots``.
    """
    _check_storable(entry)
    _check(entry.details, _DETAILS, "details", optional=True)
    match entry.subject:
        case ControlSubject.SCHEDULE:
            _check_schedule(entry)
        case ControlSubject.LIMIT:
            _check(entry.state, _LIMIT, "state")
            if Limit.of(entry).is_unreadable:
                raise _refused("state.rate")
        case ControlSubject.QUEUE | ControlSubject.TYPE:
            _check(entry.state, {"paused": _is_flag}, "state")
            _check(entry.state, {"index": _list_of(_is_text)}, "state", optional=True)
            if entry.state["paused"]:
                _check(entry.state, _PAUSE, "state")
        case ControlSubject.ACTION if entry.name == JOURNAL:
            _check(entry.state, {"open": _list_of(_is_text)}, "state")
        case ControlSubject.ACTION:
            _check(entry.state, _ACTION, "state")
            _read(lambda: BulkAction.of(entry), "state.action")
        case ControlSubject.FLEET if entry.name == used_level.NAME:
            _check(entry.state, {"level": _is_number}, "state")
        case ControlSubject.FLEET:  # the seal stays where it is: the import makes its own
            raise _refused("name")


def _check_storable(entry: ControlEntry) -> None:
    columns = (
        ("entryId", entry.entry_id, _LONGEST_ID),
        ("by", entry.by, MAX_ENTRY_BYTES),
        ("reason", entry.reason, MAX_ENTRY_BYTES),
    )
    for name, text, most in columns:
        if len(text) > most or "\0" in text:
            raise _refused(name)
    for path in (*_with_nul(entry.state, "state"), *_with_nul(entry.details, "details")):
        raise _refused(path)
    check_control_size(entry)


def _check_schedule(entry: ControlEntry) -> None:
    _check(entry.state, _SCHEDULE, "state")
    if entry.state["paused"] is not None:
        _check(entry.state["paused"], _SCHEDULE_PAUSE, "state.paused")
    if entry.kind is ControlKind.FIRED:
        for name in _PROMISED:
            if not isinstance(entry.details.get(name), str):
                raise _refused(f"details.{name}")
    _read(lambda: ScheduleState.of(entry), "state.definition")


def _check(
    values: Mapping[str, Any], form: Mapping[str, Check], path: str, *, optional: bool = False
) -> None:
    for name, check in form.items():
        if name in values:
            if not check(values[name]):
                raise _refused(f"{path}.{name}")
        elif not optional:
            raise _refused(f"{path}.{name}")


def _read(read: Callable[[], object], path: str) -> None:
    try:
        read()
    except (InvalidRequest, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"{path}: cannot be read: {error}", field=path) from error


def _with_nul(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of texts and names with a NUL, which PostgreSQL cannot hold."""
    left = [(path, value)]
    while left:
        place, item = left.pop()
        match item:
            case str() if "\0" in item:
                yield place
            case Mapping():
                left += ((f"{place}.{name}", name) for name in item)
                left += ((f"{place}.{name}", each) for name, each in item.items())
            case list():
                left += ((f"{place}.{number}", each) for number, each in enumerate(item))


def _refused(path: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: is not what this entry holds there", field=path)
