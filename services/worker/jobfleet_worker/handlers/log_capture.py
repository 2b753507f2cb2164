"""Takes what a handler logs, through ``logging`` or structlog, from where the handler runs.

``logging``: ``Logger.callHandlers`` is wrapped, through which every record passes that is wanted at
its level. A handler on the root logger would miss loggers that do not propagate, would go with a
``dictConfig``, and would keep ``basicConfig`` from working. structlog: a processor stands before
all others; it adds no frame to the stack, by whose frames structlog tells who has logged.
"""

from __future__ import annotations

import contextvars
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from structlog.typing import EventDict

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.cut_text import LOOKED_AT
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.log_line import LogLine
from jobfleet_worker.handlers.described_error import traceback_of
from jobfleet_worker.handlers.error_text import brief
from jobfleet_worker.handlers.result_json import is_plain, to_json

Keep = Callable[[bytes], bool]
"""Takes one stored line, from any thread; ``False``: no more lines are wanted."""

_LEVELS = {"exception": "error", "warn": "warning", "err": "error", "fatal": "critical"}
_LEVELS |= {"msg": "info"}
_OF_A_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_NO_FIELDS = frozenset({"event", "exc_info", "stack_info", "logger", "level", "timestamp"})
_NO_FIELDS |= {"_record", "_logger", "_name", "_from_structlog"}
_TEXT_CHARACTERS = 1_000
_FIELD_VALUES = 10_000
_BUILTIN = frozenset({list, tuple, dict, set, frozenset, bytes, bytearray})
_OUR_PACKAGES = frozenset(
    f"jobfleet_{name}" for name in ("worker", "publisher", "protocol", "backends", "contracts")
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class LogTarget:
    """Where the lines of one attempt go."""

    def __init__(self, keep: Keep, attempt: int) -> None:
        self._keep = keep
        self._attempt = attempt
        # What the worker has bound stands in each line of its own log; the job's page knows it.
        self._bound_by_us = frozenset(structlog.contextvars.get_contextvars())
        self.is_open = True

    def take_record(self, record: logging.LogRecord) -> None:
        """Keep what came through ``logging``; structlog may have put its entry into the record."""
        text = record.msg if isinstance(record.msg, dict) else record.getMessage()
        extra = {k: v for k, v in vars(record).items() if k not in _OF_A_RECORD}
        entry = _entry_in(text)
        if entry is not None:
            text, extra = entry.pop("event"), entry
        moment = datetime.fromtimestamp(record.created, UTC)
        self._put(record.levelname, text, extra, record.name or "", record.exc_info, at=moment)

    def take_entry(self, method: str, entry: Mapping[str, Any]) -> None:
        """Keep what came through structlog."""
        fields = {**structlog.contextvars.get_contextvars(), **entry}
        error = entry.get("exc_info") or (method == "exception" or None)
        self._put(method, entry.get("event"), fields, str(entry.get("logger", "")), error)

    def _put(
        self,
        level: str,
        text: Any,
        fields: Mapping[str, Any],
        name: str,
        error: Any,
        *,
        at: datetime | None = None,
    ) -> None:
        line = LogLine(
            at=at or datetime.now(UTC),
            attempt=self._attempt,
            level=_LEVELS.get(level.lower(), level.lower()),
            message="" if text is None else _COLOURS.sub("", _text(text)[:LOOKED_AT]),
            logger=name,
            fields={str(k): _json(v) for k, v in fields.items() if self._is_field(k)},
            exception=_traceback(error),
        )
        self.is_open = self._keep(line.encode())

    def _is_field(self, name: Any) -> bool:
        return name not in _NO_FIELDS and name not in self._bound_by_us


_target: contextvars.ContextVar[LogTarget | None] = contextvars.ContextVar("log_target")
"""The target of the attempt whose code runs; unset: the process's target, if it has one."""
_of_process: LogTarget | None = None
_guard = threading.Lock()
_is_installed = False


@contextmanager
def captured(keep: Keep | None, attempt: int) -> Iterator[None]:
    """Keep what is logged in this context, and in tasks and threads that take it over."""
    if keep is None:
        yield
        return
    install()
    token = _target.set(LogTarget(keep, attempt))
    try:
        yield
    finally:
        _target.reset(token)


@contextmanager
def captured_in_process(keep: Keep | None, attempt: int) -> Iterator[None]:
    """Keep what is logged anywhere in this process, which runs one job at a time."""
    global _of_process  # noqa: PLW0603 - of the process, as the name says
    if keep is None:
        yield
        return
    install()
    _of_process = LogTarget(keep, attempt)
    try:
        yield
    finally:
        _of_process = None


def install() -> None:
    """Stand in the way of both libraries; repeated, since users may configure structlog anew."""
    global _is_installed  # noqa: PLW0603
    with _guard:
        if not _is_installed:
            _is_installed = True
            _wrap_logging()
        _join_structlog()


def _wrap_logging() -> None:
    call_handlers = logging.Logger.callHandlers

    def keep_and_call(self: logging.Logger, record: logging.LogRecord) -> None:
        with _kept(lambda target: target.take_record(record)):
            call_handlers(self, record)

    logging.Logger.callHandlers = keep_and_call  # type: ignore[method-assign]


def _join_structlog() -> None:
    processors = structlog.get_config()["processors"]
    if _keep_entry in processors:
        return
    if isinstance(processors, list):
        processors.insert(0, _keep_entry)  # in place: loggers that are cached hold this list
    else:
        structlog.configure(processors=[_keep_entry, *processors])


def _keep_entry(logger: Any, method: str, entry: EventDict) -> EventDict:
    """Keep an entry, unless it goes on to ``logging``, which keeps it if its level is wanted."""
    if not isinstance(logger, logging.Logger) and not _is_said_by_us():
        with _kept(lambda target: target.take_entry(method, entry)):
            pass
    return entry


@contextmanager
def _kept(take: Callable[[LogTarget], None]) -> Iterator[None]:
    """Keep a line; what happens within may log it once more, through the other library."""
    target = _target.get(_of_process)
    if target is None:
        yield
        return
    token = _target.set(None)
    try:
        if target.is_open:
            with suppress(Exception):  # a line that cannot be kept fails no job
                take(target)
        yield
    finally:
        _target.reset(token)


def _is_said_by_us() -> bool:
    """Return whether jobfleet logs, as it does about a job that the handler submits."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name != __name__ and not name.startswith("structlog"):
            return name.partition(".")[0] in _OUR_PACKAGES
        frame = frame.f_back
    return False


def _entry_in(text: Any) -> dict[str, Any] | None:
    """Return the entry of structlog that a record holds, as a dictionary or as JSON."""
    if isinstance(text, str) and text.startswith("{") and len(text) <= LOOKED_AT:
        try:
            text = decode(text)
        except InvalidRequest:
            return None
    return dict(text) if isinstance(text, dict) and "event" in text else None


def _traceback(error: Any) -> str:
    """Return the traceback of what ``exc_info`` names, in any of its forms."""
    if isinstance(error, tuple):
        error = error[1] if len(error) > 1 else None
    elif error is True or error == 1:
        error = sys.exc_info()[1]
    return traceback_of(error) if isinstance(error, BaseException) else ""


def _text(value: Any) -> str:
    """Return a value's text. A large builtin value is cut: ``str`` would copy all of it."""
    return brief(value) if type(value) in _BUILTIN and not is_plain(value) else str(value)


def _json(value: Any) -> Any:
    """Return a value as JSON holds it, its text where JSON has no form for it."""
    with suppress(Exception):  # classes of users
        return decode(encode(to_json(value, most_bytes=LOOKED_AT, most_values=_FIELD_VALUES)))
    try:
        return _text(value)[:_TEXT_CHARACTERS]
    except Exception:  # noqa: BLE001 - likewise
        return f"<{type(value).__name__} without text>"
