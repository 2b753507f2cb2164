"""One item of a moved fleet as a line of its file, and back; each line is checked here whole.

A line is taken only if an export writes the same bytes for what was read from it. So it holds no
field and no form of a value that some process would meet for the first time.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jobfleet_contracts.codec import decode, encode, format_time, parse_time
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_protocol.moving.item_form import check_header_form, check_item_form
from jobfleet_protocol.moving.move_item import (
    MovedBlob,
    MovedLog,
    MovedNote,
    MovedRate,
    MoveHeader,
    MoveItem,
)
from jobfleet_protocol.reading.export_line import (
    check_columns,
    control_line,
    entry_of_line,
    event_of_line,
    export_line,
    is_control_line,
)

T = TypeVar("T")
FORM = 1
"""Version of the file's form. A release that writes another form refuses this one."""
FOREIGN = "not a file that `jobfleet audit export --move` wrote"
_NEEDED: Mapping[str, Mapping[str, type]] = {
    "lock": {"lock": str, "note": dict},
    "rate": {"rate": str, "moment": str},
    "blob": {"blob": str, "body": str},
    "log": {"log": str, "epoch": int, "position": int, "body": str},
}
"""The fields of the lines that are no row, by the field that tells what they are."""
REMEDY = "export the fleet again, and import that file unchanged with the same release"


def header_line(header: MoveHeader) -> bytes:
    """Return the first line of a file."""
    return _line(
        {
            "jobfleetMove": FORM,
            "moveId": header.move_id,
            "backend": header.backend,
            "sealedBy": header.sealed_by,
            "sealedAt": format_time(header.sealed_at),
        }
    )


def header_of_line(line: bytes, fields: Mapping[str, Any]) -> MoveHeader:
    """Read the first line of a file of this form.

    Raises:
        InvalidRequest: names the field.
    """
    for name in ("moveId", "backend", "sealedBy", "sealedAt"):
        if not isinstance(fields.get(name), str):
            raise InvalidRequest(f"{name}: cannot be {_shown(fields.get(name))}", field=name)
    header = MoveHeader(
        move_id=fields["moveId"],
        backend=fields["backend"],
        sealed_by=fields["sealedBy"],
        sealed_at=_parsed("sealedAt", parse_time, fields["sealedAt"]),
    )
    check_header_form(header)
    _check_same(line, fields, header_line(header))
    return header


def item_line(item: MoveItem) -> bytes:
    """Return the line of an item."""
    match item:
        case Event():
            return _line(export_line(item, raw=True))
        case ControlEntry():
            return _line(control_line(item, raw=True))
        case MovedNote(lock, note):
            return _line({"lock": lock, "note": dict(note)})
        case MovedRate(key, moment):
            return _line({"rate": key, "moment": format_time(moment)})
        case MovedBlob(name, body):
            return _line({"blob": name, "body": b64encode(body).decode()})
        case MovedLog(job_id, epoch, position, body):
            text = b64encode(body).decode()
            return _line({"log": job_id, "epoch": epoch, "position": position, "body": text})


def item_of_line(line: bytes, fields: Mapping[str, Any]) -> MoveItem:
    """Read the line of an item; ``fields`` is what it holds as JSON.

    Raises:
        InvalidRequest: an export writes no such line; names the field.
    """
    item = _item(fields)
    check_item_form(item)
    _check_same(line, fields, item_line(item))
    return item


def check_export(item: MoveItem) -> None:
    """Check that an import would take the item.

    Raises:
        InvalidRequest: names the field that was edited in the storage.
    """
    line = item_line(item)
    item_of_line(line, decode(line))


def _item(fields: Mapping[str, Any]) -> MoveItem:
    if is_control_line(fields):
        return entry_of_line(fields)
    if "jobId" in fields:
        check_columns(fields)
        return event_of_line(fields)
    match fields:
        case {"lock": str(lock), "note": dict(note)}:
            return MovedNote(lock, note)
        case {"rate": str(key), "moment": str(moment)}:
            return MovedRate(key, _parsed("moment", parse_time, moment))
        case {"blob": str(name), "body": str(body)}:
            return MovedBlob(name, _parsed("body", _of_base64, body))
        case {"log": str(name), "epoch": int(epoch), "position": int(at), "body": str(body)} if (
            type(epoch) is type(at) is int
        ):
            return MovedLog(name, epoch, at, _parsed("body", _of_base64, body))
    kind = next((name for name in _NEEDED if name in fields), None)
    if kind is None:
        raise InvalidRequest(FOREIGN)
    wrong = next(name for name, of in _NEEDED[kind].items() if type(fields.get(name)) is not of)
    raise InvalidRequest(f"{wrong}: cannot be {_shown(fields.get(wrong))}", field=wrong)


def _parsed(name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}", field=name) from error


def _of_base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _check_same(line: bytes, fields: Mapping[str, Any], written: bytes) -> None:
    """Refuse what reading has passed over: fields of another release, other forms of a value."""
    if line == written:
        return
    known = decode(written)
    if unknown := sorted(fields.keys() - known.keys()):
        name = unknown[0][:100]
        raise InvalidRequest(f"unknown field: {name}", field=name)
    for name, value in known.items():
        if encode(fields.get(name)) != encode(value):
            raise InvalidRequest(
                f"{name}: an export writes it as {_shown(value)}, not {_shown(fields.get(name))}",
                field=name,
            )
    raise InvalidRequest("its fields stand twice, in another order, or with spaces between")


def _line(fields: Mapping[str, Any]) -> bytes:
    return encode(fields) + b"\n"


def _shown(value: Any) -> str:
    return repr(str(value)[:50])
