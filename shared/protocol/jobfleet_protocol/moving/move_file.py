"""The file that a fleet is moved in: JSON lines, a header first, counts and a checksum last."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from jobfleet_contracts.codec import decode, encode, format_time, parse_time
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_protocol.control.entry_form import check_entry_form
from jobfleet_protocol.reading.export_line import (
    check_columns,
    control_line,
    entry_of_line,
    event_of_line,
    export_line,
    is_control_line,
)

FORM = 1
"""Version of the file's form. A release that writes another form refuses this one."""
_MOST = 2**31
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_JOB_ID = re.compile(_ID)
_BLOB_NAME = re.compile(f"{_ID}/0/ids")
"""The only values that belong to no event are the jobs of an action. Under any other name a file
could put what the fleet trusts, as the key of its messages."""
_FOREIGN = "not a file that `jobfleet audit export --move` wrote"


@dataclass(frozen=True, slots=True)
class MoveHeader:
    """Where the file comes from.

    Attributes:
        move_id: the seal under which it was written. A second export under it is the same move.
        backend: name of the backend that it was read from.
    """

    move_id: str
    backend: str
    sealed_by: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class MovedNote:
    """The note of a lock that several jobs share: the highest turn."""

    lock: str
    note: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MovedRate:
    """The count of one rate key."""

    key: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class MovedBlob:
    """A value of the payload store that belongs to no event."""

    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class MovedLog:
    """A part of what a handler logged; the parts of a log follow one another."""

    job_id: str
    epoch: int
    position: int
    body: bytes


@dataclass(frozen=True, slots=True)
class MoveCounts:
    """How many of each kind the file holds."""

    jobs: int = 0
    events: int = 0
    entries: int = 0
    notes: int = 0
    rates: int = 0
    blobs: int = 0
    logs: int = 0

    def plus(self, item: MoveItem, *, is_new_job: bool) -> MoveCounts:
        """Count one more."""
        match item:
            case Event():
                return replace(self, events=self.events + 1, jobs=self.jobs + is_new_job)
            case ControlEntry():
                return replace(self, entries=self.entries + 1)
            case MovedNote():
                return replace(self, notes=self.notes + 1)
            case MovedRate():
                return replace(self, rates=self.rates + 1)
            case MovedBlob():
                return replace(self, blobs=self.blobs + 1)
            case MovedLog():
                return replace(self, logs=self.logs + (item.position == 0))

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in asdict(self).items())


MoveItem = Event | ControlEntry | MovedNote | MovedRate | MovedBlob | MovedLog


class MoveWriter:
    """Makes the lines of a file, in the order in which they are to be written."""

    def __init__(self) -> None:
        self._checksum = sha256()
        self._job_id = ""
        self.counts = MoveCounts()

    def header(self, header: MoveHeader) -> bytes:
        """Return the first line."""
        return self._line(
            {
                "jobfleetMove": FORM,
                "moveId": header.move_id,
                "backend": header.backend,
                "sealedBy": header.sealed_by,
                "sealedAt": format_time(header.sealed_at),
            }
        )

    def item(self, item: MoveItem) -> bytes:
        """Return the line of an item; the events of a job follow one another."""
        job_id = item.job_id if isinstance(item, Event) else self._job_id
        self.counts = self.counts.plus(item, is_new_job=job_id != self._job_id)
        self._job_id = job_id
        return self._line(_item_line(item))

    def footer(self) -> bytes:
        """Return the last line."""
        fields = {"counts": asdict(self.counts), "sha256": self._checksum.hexdigest()}
        return encode({"end": fields}) + b"\n"

    def _line(self, fields: Mapping[str, Any]) -> bytes:
        line = encode(fields) + b"\n"
        self._checksum.update(line)
        return line


def read_header(line: bytes) -> MoveHeader:
    """Read the first line of a file.

    Raises:
        InvalidRequest: it is not such a file, or another release wrote it; says what to do.
    """
    try:
        fields = decode(line)
    except InvalidRequest:
        raise InvalidRequest(f"line 1: {_FOREIGN}") from None
    if not isinstance(fields, Mapping) or "jobfleetMove" not in fields:
        remedy = ""
        if isinstance(fields, Mapping) and "jobId" in fields:
            remedy = "; it was written without --move, and lacks what a moved fleet needs"
        raise InvalidRequest(f"line 1: {_FOREIGN}{remedy}")
    if fields["jobfleetMove"] != FORM:
        raise InvalidRequest("line 1: another release of jobfleet wrote it: import with that one")
    try:
        return MoveHeader(
            move_id=str(fields["moveId"]),
            backend=str(fields["backend"]),
            sealed_by=str(fields["sealedBy"]),
            sealed_at=parse_time(fields["sealedAt"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequest(f"line 1: {_FOREIGN}: {error}") from error


def read_items(lines: Iterable[bytes]) -> Iterator[MoveItem]:
    """Yield what a file holds, the header left out; the caller takes it only once all is read.

    Raises:
        InvalidRequest: the file was cut off or changed, or a line is none of such a file; names the
            line.
    """
    checksum, counts, job_id, number = sha256(), MoveCounts(), "", 0
    end: Mapping[str, Any] | None = None
    for number, line in enumerate(lines, start=1):
        if end is not None:
            raise InvalidRequest(f"line {number}: there is more after the last line")
        if number == 1:
            read_header(line)
        else:
            fields = _fields(line, number)
            if "end" in fields:
                end = fields["end"]
                continue
            item = _item(fields, number)
            of_job = item.job_id if isinstance(item, Event) else job_id
            counts, job_id = counts.plus(item, is_new_job=of_job != job_id), of_job
            yield item
        checksum.update(line)
    if end is None:
        raise InvalidRequest(
            f"line {number + 1}: the last line is missing, so the file was cut off: "
            "copy it whole, or export again"
        )
    if end != {"counts": asdict(counts), "sha256": checksum.hexdigest()}:
        raise InvalidRequest("the file was changed after it was written: its checksum differs")


def _fields(line: bytes, number: int) -> Mapping[str, Any]:
    cut = "" if line.endswith(b"\n") else "; the file was cut off there"
    try:
        fields = decode(line)
    except InvalidRequest as error:
        raise InvalidRequest(f"line {number}: {error}{cut}") from error
    if not isinstance(fields, Mapping):
        raise InvalidRequest(f"line {number}: {_FOREIGN}{cut}")
    return fields


def _check_log(job_id: str, epoch: int, position: int) -> None:
    if not _JOB_ID.fullmatch(job_id) or not 0 < epoch < _MOST or not 0 <= position < _MOST:
        raise ValueError(_FOREIGN)


def _item_line(item: MoveItem) -> Mapping[str, Any]:
    match item:
        case Event():
            return export_line(item, raw=True)
        case ControlEntry():
            return control_line(item, raw=True)
        case MovedNote(lock, note):
            return {"lock": lock, "note": dict(note)}
        case MovedRate(key, moment):
            return {"rate": key, "moment": format_time(moment)}
        case MovedBlob(name, body):
            return {"blob": name, "body": b64encode(body).decode()}
        case MovedLog(job_id, epoch, position, body):
            text = b64encode(body).decode()
            return {"log": job_id, "epoch": epoch, "position": position, "body": text}


def _item(fields: Mapping[str, Any], number: int) -> MoveItem:
    try:
        if is_control_line(fields):
            entry = entry_of_line(fields)
            check_entry_form(entry)
            return entry
        if "jobId" in fields:
            check_columns(fields)
            return event_of_line(fields)
        match fields:
            case {"lock": str(lock), "note": dict(note)}:
                return MovedNote(lock, {str(key): str(value) for key, value in note.items()})
            case {"rate": str(key), "moment": str(moment)}:
                return MovedRate(key, parse_time(moment))
            case {"blob": str(name), "body": str(body)} if _BLOB_NAME.fullmatch(name):
                return MovedBlob(name, b64decode(body, validate=True))
            case {"log": str(name), "epoch": int(epoch), "position": int(at), "body": str(body)}:
                _check_log(name, epoch, at)
                return MovedLog(name, epoch, at, b64decode(body, validate=True))
    except (InvalidRequest, ValueError) as error:
        raise InvalidRequest(f"line {number}: {error}") from error
    raise InvalidRequest(f"line {number}: {_FOREIGN}")
