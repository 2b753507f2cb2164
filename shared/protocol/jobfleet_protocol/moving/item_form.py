"""Whether the values of a moved item are such as its writers write, by the writers' own checks.

What is moved in was checked by no submit and no operator's command: a file can be made by hand.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import decode
from jobfleet_contracts.control import CONTROL_NAME, ControlEntry
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.field_checks import checked_time, is_canonical_uuid, one_line
from jobfleet_contracts.lease import is_lock_name
from jobfleet_protocol.actions.bulk_action import ids_name
from jobfleet_protocol.claiming.lock_turns import TurnNote
from jobfleet_protocol.control.entry_form import check_entry_form
from jobfleet_protocol.moving.event_form import check_event_form
from jobfleet_protocol.moving.move_item import (
    MovedBlob,
    MovedLog,
    MovedNote,
    MovedRate,
    MoveHeader,
    MoveItem,
)

_MOST = 2**31
_LONGEST_NAME = 200
_RATE_KEY = re.compile(rf"(limit|type)/{CONTROL_NAME.pattern}")


def check_header_form(header: MoveHeader) -> None:
    """Check the values of a file's first line.

    Raises:
        InvalidRequest: names the field.
    """
    _require(is_canonical_uuid(header.move_id), "moveId", header.move_id)
    _require(CONTROL_NAME.fullmatch(header.backend), "backend", header.backend)
    _require(len(header.sealed_by) <= _LONGEST_NAME, "sealedBy", header.sealed_by)
    _require(_is_one_line(header.sealed_by), "sealedBy", header.sealed_by)
    _check_time(header.sealed_at, "sealedAt")


def check_item_form(item: MoveItem) -> None:
    """Check everything in an item that some process reads.

    Raises:
        InvalidRequest: names the field.
    """
    match item:
        case Event():
            check_event_form(item)
        case ControlEntry():
            check_entry_form(item)
        case MovedNote():
            _check_note(item)
        case MovedRate(key, moment):
            _require(_RATE_KEY.fullmatch(key), "rate", key)
            _check_time(moment, "moment")
        case MovedBlob(name, body):
            action_id = name.partition("/")[0]
            # Under any other name a file could put what the fleet trusts, as its messages' key.
            _require(is_canonical_uuid(action_id) and name == ids_name(action_id), "blob", name)
            _require(_is_id_list(body), "body", body)
        case MovedLog(job_id, epoch, position, body):
            _require(is_canonical_uuid(job_id), "log", job_id)
            _require(0 < epoch < _MOST, "epoch", epoch)
            _require(0 <= position < _MOST, "position", position)
            _require(body, "body", body)


def _check_note(moved: MovedNote) -> None:
    lock, note = moved.lock, moved.note
    _require(is_lock_name(lock) and not lock.startswith("job/"), "lock", lock)
    try:
        turn = TurnNote.of(note)
    except (KeyError, TypeError, ValueError):
        turn = None
    if turn is None or turn.to_note() != note:
        raise InvalidRequest(f"note: cannot be {str(dict(note))[:100]!r}", field="note")
    for name, number in (("turn", turn.turn), ("epoch", turn.epoch)):
        _require(0 < number < _MOST, f"note.{name}", number)
    _require(isinstance(turn.job_id, str), "note.job", turn.job_id)
    _require(is_canonical_uuid(turn.job_id), "note.job", turn.job_id)


def _is_id_list(body: bytes) -> bool:
    try:
        ids = decode(body)
    except InvalidRequest:
        return False
    return isinstance(ids, list) and all(isinstance(i, str) and is_canonical_uuid(i) for i in ids)


def _is_one_line(text: str) -> bool:
    try:
        one_line(text)
    except ValueError:
        return False
    return True


def _check_time(moment: datetime, field: str) -> None:
    try:
        checked_time(moment)
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from error


def _require(holds: object, field: str, value: Any) -> None:
    if not holds:
        raise InvalidRequest(f"{field}: cannot be {str(value)[:100]!r}", field=field)
