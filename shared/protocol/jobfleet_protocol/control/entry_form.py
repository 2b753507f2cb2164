"""What an entry of the control log holds inside, field by field: for files that others made.

A process that reads its own fleet's log shows an entry that it cannot read, and goes on. A file
that is moved in is refused instead: what its writer meant is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jobfleet_contracts.control import (
    ControlEntry,
    ControlKind,
    ControlSubject,
    check_control_size,
)
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.field_checks import checked_time, is_canonical_uuid, one_line
from jobfleet_contracts.lookup_keys import MOST_KEYS, PAYLOAD_KEY
from jobfleet_contracts.reason import check_reason
from jobfleet_protocol.actions.action_journal import JOURNAL, MOST_OPEN
from jobfleet_protocol.actions.bulk_action import BulkAction
from jobfleet_protocol.control import limit_state, used_level
from jobfleet_protocol.control.pause_state import MOST_EXEMPT
from jobfleet_protocol.control.pauses import check_pausable
from jobfleet_protocol.control.schedule_state import KEPT_DIGESTS, ScheduleState

Check = Callable[[Any], bool]
_LONGEST_NAME = 200
_MOST = 2**53
"""JSON's readers in browsers know no larger whole number exactly."""


def _passes(check: Callable[[Any], object], value: Any) -> bool:
    try:
        check(value)
    except (InvalidRequest, ValueError):
        return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME and _passes(one_line, value)


def _is_reason(value: Any) -> bool:
    return isinstance(value, str) and _passes(check_reason, value)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and is_canonical_uuid(value)


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and PAYLOAD_KEY.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _passes(checked_time, value)


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check, most: int = 1_000) -> Check:
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(check, value))


def _counts_of_jobs(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_id(i) and _is_count(n) for i, n in value.items())


def _is_result(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != len(("job", "state", "error")):
        return False
    return isinstance(value[0], str) and all(_or_null(_is_text)(each) for each in value[1:])


_NONE: Mapping[str, Check] = {}
_SCHEDULE: Mapping[str, Check] = {
    "definition": _is_object,
    "declaredBy": _is_name,
    "anchor": _is_time,
    "countedFrom": _is_time,
    "code": _or_null(_is_object),
    "codeDigests": _list_of(_is_name, KEPT_DIGESTS),
    "lastTick": _or_null(_is_time),
    "lastJobId": _or_null(_is_id),
    "paused": _or_null(_is_object),
    "removed": _is_flag,
}
_SCHEDULE_PAUSE: Mapping[str, Check] = {"by": _is_name, "reason": _is_reason, "since": _is_time}
_LIMIT: Mapping[str, Check] = {
    "slots": _or_null(_is_count),
    "rate": _or_null(_is_text),
    "burst": _is_count,
    "removed": _is_flag,
}
_PAUSE: Mapping[str, Check] = {
    "paused": _is_flag,
    "entry": _is_count,
    "pausedBy": _is_name,
    "pausedAt": _is_time,
    "until": _or_null(_is_time),
    "reason": _is_reason,
    "exempt": _counts_of_jobs,
}
_RUNS: Mapping[str, Check] = {"paused": _is_flag}
_INDEX: Mapping[str, Check] = {"index": _list_of(_is_key, MOST_KEYS)}
_ACTION: Mapping[str, Check] = {
    "action": _is_text,
    "by": _is_name,
    "reason": _is_reason,
    "scope": _is_text,
    "count": _is_count,
    "askedAt": _is_time,
    "next": _is_count,
    "done": _is_count,
    "refused": _is_count,
    "batch": _counts_of_jobs,
    "stopping": _is_flag,
}
_DETAILS: Mapping[str, Check] = {
    "tick": _or_null(_is_time),
    "first": _is_time,
    "jobId": _or_null(_is_id),
    "runningJobId": _is_id,
    "actionId": _is_id,
    "action": _is_text,
    "subject": _is_text,
    "name": _is_text,
    "scope": _is_text,
    "status": _is_text,
    "reason": _is_text,
    "count": _is_count,
    "done": _is_count,
    "refused": _is_count,
    "epoch": _is_count,
    "complete": _is_flag,
    "results": _list_of(_is_result),
}
"""Fields of ``details``, each of which may be left out."""
_KINDS: Mapping[ControlSubject, frozenset[ControlKind]] = {
    ControlSubject.SCHEDULE: frozenset(
        {
            *(ControlKind.DECLARED, ControlKind.CHANGED, ControlKind.PAUSED, ControlKind.RESUMED),
            *(ControlKind.FIRED, ControlKind.SKIPPED, ControlKind.TRIGGERED, ControlKind.REMOVED),
        }
    ),
    ControlSubject.LIMIT: frozenset({ControlKind.SET, ControlKind.REMOVED}),
    ControlSubject.QUEUE: frozenset({ControlKind.PAUSED, ControlKind.CHANGED, ControlKind.RESUMED}),
    ControlSubject.TYPE: frozenset(
        {*(ControlKind.PAUSED, ControlKind.CHANGED, ControlKind.RESUMED), ControlKind.DECLARED}
    ),
    ControlSubject.ACTION: frozenset({ControlKind.ASKED, ControlKind.CHANGED, ControlKind.ENDED}),
    ControlSubject.FLEET: frozenset({ControlKind.SET}),
}
_OF_NO_WRITER = frozenset({ControlKind.NEWER, ControlKind.UNREADABLE})
_PROMISED = ("tick", "jobId")
"""What a tick that fired must have in ``details``."""


def check_entry_form(entry: ControlEntry) -> None:
    """Check everything in an entry that some process reads, as its writers check it.

    Raises:
        InvalidRequest: names the field, as ``state.slots``.
    """
    _check_columns(entry)
    _check(entry.details, "details", optional=_DETAILS)
    match entry.subject:
        case ControlSubject.SCHEDULE:
            _check_schedule(entry)
        case ControlSubject.LIMIT:
            _check_limit(entry)
        case ControlSubject.QUEUE | ControlSubject.TYPE:
            _check_pause(entry)
        case ControlSubject.ACTION if entry.name == JOURNAL:
            _check(entry.state, "state", {"open": _list_of(_is_id, MOST_OPEN)})
        case ControlSubject.ACTION:
            if not is_canonical_uuid(entry.name):
                raise _refused("name")
            _check(entry.state, "state", _ACTION)
            _read(lambda: BulkAction.of(entry), "state.action")
        case ControlSubject.FLEET:
            _check(entry.state, "state", {"level": _is_count})


def _check_columns(entry: ControlEntry) -> None:
    if entry.subject is ControlSubject.FLEET and entry.name != used_level.NAME:
        raise _refused("name")  # the seal stays where it is: the import makes its own
    for name, text, check in (
        ("entryId", entry.entry_id, _is_name),
        ("by", entry.by, _is_name),
        ("reason", entry.reason, _is_reason),
        ("timestamp", entry.occurred_at, lambda moment: _passes(checked_time, moment)),
    ):
        if not check(text):
            raise _refused(name)
    is_journal = entry.subject is ControlSubject.ACTION and entry.name == JOURNAL
    known = frozenset(ControlKind) - _OF_NO_WRITER if is_journal else _KINDS[entry.subject]
    if entry.kind not in known:
        raise _refused("kind")
    if not 0 < entry.sequence < _MOST:
        raise _refused("sequence")
    for path in (*_with_nul(entry.state, "state"), *_with_nul(entry.details, "details")):
        raise _refused(path)
    check_control_size(entry)


def _check_limit(entry: ControlEntry) -> None:
    state = entry.state
    _check(state, "state", _LIMIT)
    if state["removed"] != (entry.kind is ControlKind.REMOVED):
        raise _refused("state.removed")
    if not state["removed"]:
        try:
            limit_state.check_limit(state["slots"], state["rate"], state["burst"])
        except InvalidRequest as error:
            raise InvalidRequest(f"state.{error}", field=f"state.{error.field}") from error
    elif (state["slots"], state["rate"], state["burst"]) != (None, None, 1):
        raise _refused("state.slots")


def _check_pause(entry: ControlEntry) -> None:
    check_pausable(entry.subject, entry.name)
    is_paused = entry.state.get("paused") is True
    index = _INDEX if entry.subject is ControlSubject.TYPE else _NONE
    _check(entry.state, "state", _PAUSE if is_paused else _RUNS, optional=index)
    if is_paused and not 0 < entry.state["entry"] <= entry.sequence:
        raise _refused("state.entry")
    if is_paused and len(entry.state["exempt"]) > MOST_EXEMPT:
        raise _refused("state.exempt")


def _check_schedule(entry: ControlEntry) -> None:
    _check(entry.state, "state", _SCHEDULE)
    if entry.state["paused"] is not None:
        _check(entry.state["paused"], "state.paused", _SCHEDULE_PAUSE)
    if entry.kind is ControlKind.FIRED:
        for name in _PROMISED:
            if not isinstance(entry.details.get(name), str):
                raise _refused(f"details.{name}")
    _read(lambda: ScheduleState.of(entry), "state.definition")


def _check(
    values: Mapping[str, Any],
    path: str,
    needed: Mapping[str, Check] = _NONE,
    *,
    optional: Mapping[str, Check] = _NONE,
) -> None:
    for name in needed:
        if name not in values:
            raise _refused(f"{path}.{name}")
    for name, value in values.items():
        check = needed.get(name) or optional.get(name)
        if check is None:
            place = f"{path}.{name}"[:_LONGEST_NAME]
            raise InvalidRequest(f"unknown field: {place}", field=place)
        if not check(value):
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
