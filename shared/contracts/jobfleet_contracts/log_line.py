"""One line of a job's log: what a handler said, as it is stored, masked, and as it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from jobfleet_contracts.codec import encodable, encode, format_time, parse_time
from jobfleet_contracts.credentials import masked
from jobfleet_contracts.cut_text import LOOKED_AT, beginning_of
from jobfleet_contracts.encoded_value import labelled_text
from jobfleet_contracts.errors import CodecError, InvalidRequest
from jobfleet_contracts.value_coder import NOT_ENCODED, ValueCoder

MAX_LOG_BYTES = 1_000_000
"""Limit of one attempt's log."""
MAX_MESSAGE_CHARACTERS = 16_000
MAX_FIELDS_BYTES = 8_000
MAX_LINE_BYTES = 65_536
"""Limit of a stored line, its end included."""
SHORTENED = "shortened"
"""The one field of a line whose fields were too long: the beginning of their JSON."""
UNREADABLE = "this line cannot be read"
_SHORT_CHARACTERS = 2_000
_MARK = "… [cut]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What a handler said once.

    Attributes:
        level: ``debug``, ``info``, ``warning``, ``error``, ``critical``, or a name of the user's.
        logger: name of the ``logging`` logger; empty from structlog.
        fields: what was said beside the message; JSON values.
        exception: a traceback, empty for none.
    """

    at: datetime
    attempt: int
    level: str
    message: str
    logger: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    exception: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return ``{"at", "attempt", "level", "message"}`` and those of the others that are set."""
        shown: dict[str, Any] = {
            "at": format_time(self.at),
            "attempt": self.attempt,
            "level": self.level,
            "message": self.message,
        }
        if self.logger:
            shown["logger"] = self.logger
        if self.fields:
            shown["fields"] = dict(self.fields)
        if self.exception:
            shown["exception"] = self.exception
        return shown

    def encode(self) -> bytes:
        """Return the line as it is stored, with its end: masked, and cut if it is too long."""
        line = self._encode(MAX_MESSAGE_CHARACTERS, _kept_fields(self.fields))
        if len(line) <= MAX_LINE_BYTES:
            return line
        return self._encode(_SHORT_CHARACTERS, {SHORTENED: "left out"})

    @classmethod
    def decode(cls, line: bytes) -> LogLine:
        """Return a stored line; one that cannot be read says so."""
        try:
            stored = orjson.loads(line)
            return cls(
                at=parse_time(stored["at"]),
                attempt=int(stored["attempt"]),
                level=str(stored["level"]),
                message=str(stored["message"]),
                logger=str(stored.get("logger", "")),
                fields=dict(stored.get("fields", {})),
                exception=str(stored.get("exception", "")),
            )
        except (ValueError, KeyError, TypeError):
            return cls(at=parse_time(_NO_TIME), attempt=0, level="error", message=UNREADABLE)

    def _encode(self, most: int, fields: Mapping[str, Any]) -> bytes:
        shown = LogLine(
            at=self.at,
            attempt=self.attempt,
            level=self.level[:20],
            message=_shortened(self.message, most),
            logger=self.logger[:200],
            fields=fields,
            exception=_shortened(self.exception, most),
        )
        return encode(shown.to_json()) + b"\n"


def encoded_line(line: bytes, coder: ValueCoder) -> bytes:
    """Return a stored line with all that the handler said encoded; never raises.

    Time, attempt and level stay readable. A line that gets too long keeps its message's beginning.
    """
    if not coder.encodes:
        return line
    stored = orjson.loads(line)
    fields = {name: stored[name] for name in _ENCODED if name in stored}
    kept = {name: stored[name] for name in stored if name not in _ENCODED}
    for most in (
        fields,
        {"message": str(stored["message"])[:_SHORT_CHARACTERS], "fields": _TOO_LONG},
    ):
        message = coder.text(encode(most).decode())
        encoded = encode(kept | {"message": message}) + b"\n"
        if len(encoded) <= MAX_LINE_BYTES:
            return encoded
    return encode(kept | {"message": NOT_ENCODED}) + b"\n"


def clear_line(line: LogLine, coder: ValueCoder) -> LogLine:
    """Return a line as the handler said it, if it can be decoded; else with a label."""
    try:
        text = coder.clear_text(line.message)
        if text == line.message:
            return line
        fields = orjson.loads(text)
        return replace(
            line,
            message=str(fields["message"]),
            logger=str(fields.get("logger", "")),
            fields=dict(fields.get("fields", {})),
            exception=str(fields.get("exception", "")),
        )
    except (CodecError, InvalidRequest, ValueError, KeyError, TypeError):
        return replace(line, message=labelled_text(line.message))


_ENCODED = ("message", "logger", "fields", "exception")
_TOO_LONG = {SHORTENED: "left out"}
_NO_TIME = "1970-01-01T00:00:00Z"


def _shortened(text: str, most: int) -> str:
    """Return the masked text; a long one ends with a mark."""
    shown = beginning_of(encodable(text[:LOOKED_AT]), most)
    return shown if len(text) <= most else f"{shown}{_MARK}"


def _kept_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the masked fields; long ones are the beginning of their JSON."""
    if not fields:
        return fields
    try:
        text = encode(dict(fields)).decode()
    except InvalidRequest:
        return {SHORTENED: "left out: no JSON"}
    if len(text) <= MAX_FIELDS_BYTES:
        shown: Mapping[str, Any] = masked(fields)
        return shown
    return {SHORTENED: beginning_of(text, MAX_FIELDS_BYTES // 2)}
