"""The file that a fleet is moved in: JSON lines, a header first, counts and a checksum last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_protocol.moving.item_line import (
    FOREIGN,
    FORM,
    REMEDY,
    header_line,
    header_of_line,
    item_line,
    item_of_line,
)
from jobfleet_protocol.moving.move_item import MoveCounts, MoveHeader, MoveItem


class MoveWriter:
    """Makes the lines of a file, in the order in which they are to be written."""

    def __init__(self) -> None:
        self._checksum = sha256()
        self._job_id = ""
        self.counts = MoveCounts()

    def header(self, header: MoveHeader) -> bytes:
        """Return the first line."""
        return self._noted(header_line(header))

    def item(self, item: MoveItem) -> bytes:
        """Return the line of an item; the events of a job follow one another."""
        job_id = item.job_id if isinstance(item, Event) else self._job_id
        self.counts = self.counts.plus(item, is_new_job=job_id != self._job_id)
        self._job_id = job_id
        return self._noted(item_line(item))

    def footer(self) -> bytes:
        """Return the last line."""
        return _footer(self.counts, self._checksum.hexdigest())

    def _noted(self, line: bytes) -> bytes:
        self._checksum.update(line)
        return line


def _footer(counts: MoveCounts, checksum: str) -> bytes:
    return encode({"end": {"counts": asdict(counts), "sha256": checksum}}) + b"\n"


def read_header(line: bytes) -> MoveHeader:
    """Read the first line of a file.

    Raises:
        InvalidRequest: it is not such a file, or another release wrote it; says what to do.
    """
    try:
        fields = decode(line)
    except InvalidRequest:
        raise InvalidRequest(f"line 1: {FOREIGN}") from None
    if not isinstance(fields, Mapping) or "jobfleetMove" not in fields:
        remedy = ""
        if isinstance(fields, Mapping) and "jobId" in fields:
            remedy = "; it was written without --move, and lacks what a moved fleet needs"
        raise InvalidRequest(f"line 1: {FOREIGN}{remedy}")
    if fields["jobfleetMove"] != FORM:
        raise InvalidRequest("line 1: another release of jobfleet wrote it: import with that one")
    try:
        return header_of_line(line, fields)
    except InvalidRequest as error:
        raise _refused(1, error) from error


def read_items(lines: Iterable[bytes]) -> Iterator[MoveItem]:
    """Yield what a file holds, the header left out; the caller takes it only once all is read.

    Raises:
        InvalidRequest: the file was cut off or changed, or a line is none of such a file; names the
            line, the field and the remedy.
    """
    checksum, counts, order, number = sha256(), MoveCounts(), _Order(), 0
    end: bytes | None = None
    for number, line in enumerate(lines, start=1):
        if end is not None:
            raise InvalidRequest(f"line {number}: there is more after the last line")
        if number == 1:
            read_header(line)
        else:
            fields = _fields(line, number)
            if "end" in fields:
                end = line
                continue
            try:
                item = item_of_line(line, fields)
                is_new_job = order.is_new_job(item)
            except InvalidRequest as error:
                raise _refused(number, error) from error
            counts = counts.plus(item, is_new_job=is_new_job)
            yield item
        checksum.update(line)
    if end is None:
        raise InvalidRequest(
            f"line {number + 1}: the last line is missing, so the file was cut off: "
            "copy it whole, or export again"
        )
    if end != _footer(counts, checksum.hexdigest()):
        raise InvalidRequest(
            f"line {number}: the file was changed after it was written: its checksum differs; "
            + REMEDY
        )


class _Order:
    """Each job and each log stands in one place of the file, its rows in their order.

    Otherwise the second part of a job would be refused only after others were written.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self._log: tuple[str, ...] = ()
        self._sequence = 0

    def is_new_job(self, item: MoveItem) -> bool:
        """Whether a job begins with this item.

        Raises:
            InvalidRequest: the item stands elsewhere than an export puts it.
        """
        match item:
            case Event():
                log: tuple[str, ...] = (item.job_id,)
            case ControlEntry():
                log = (item.subject.value, item.name)
            case _:
                self._log = ()
                return False
        begins = log != self._log
        if begins and log in self._seen:
            raise InvalidRequest(f"{'/'.join(log)} stands in the file already", field="sequence")
        if not begins and item.sequence <= self._sequence:
            raise InvalidRequest(
                f"sequence: {item.sequence} cannot follow {self._sequence}", field="sequence"
            )
        self._seen.add(log)
        self._log, self._sequence = log, item.sequence
        return begins and isinstance(item, Event)


def _refused(number: int, error: InvalidRequest) -> InvalidRequest:
    return InvalidRequest(f"line {number}: {error}; {REMEDY}", field=error.field)


def _fields(line: bytes, number: int) -> Mapping[str, Any]:
    cut = "" if line.endswith(b"\n") else "; the file was cut off there"
    try:
        fields = decode(line)
    except InvalidRequest as error:
        raise InvalidRequest(f"line {number}: {error}{cut}; {REMEDY}") from error
    if not isinstance(fields, Mapping):
        raise InvalidRequest(f"line {number}: {FOREIGN}{cut}; {REMEDY}")
    return fields
