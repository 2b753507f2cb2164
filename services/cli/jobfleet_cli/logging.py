"""Where log lines go: console lines on a terminal, else JSON; a daily rolling file if named."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO, cast

import structlog

from jobfleet_backends.settings import Settings
from jobfleet_cli.console_line import ConsoleLine
from jobfleet_cli.daily_file import DailyFile
from jobfleet_cli.log_json import json_line
from jobfleet_cli.log_writer import LogWriter, Render, stream_writer

_QUIET = ("azure", "aiohttp.access", "asyncio", "urllib3", "uvicorn")
"""Libraries that log each request: only their warnings are of use."""
_TOLD_BY_US = ("aio_pika", "aiormq")
"""Libraries that log each failed attempt; we log once that the broker went or came back."""


class FileCopy:
    """A processor that writes each entry, as JSON, to the rolling file as well."""

    def __init__(self, file: DailyFile) -> None:
        self._file = LogWriter(file.write, render=json_line)

    def __call__(
        self, logger: Any, name: str, entry: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Copy and pass on."""
        self._file.write(json_line(logger, name, entry))
        return entry


class LibraryLog(logging.Handler):
    """Hands what libraries log through the standard library on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        logger = structlog.get_logger(library=record.name)
        try:
            logger.log(
                max(record.levelno, logging.DEBUG), record.getMessage(), exc_info=record.exc_info
            )
        except Exception:  # noqa: BLE001 - what logging itself does with a broken record
            self.handleError(record)


def configure_logging(
    settings: Settings, *, one_shot: bool = False, stream: TextIO | None = None
) -> None:
    """Configure structlog and the standard library's loggers for this process.

    Args:
        one_shot: a command that ends by itself: warnings only, unless a level was asked for.
        stream: standard error if none is given.

    Raises:
        SettingsError: the log file cannot be written.
    """
    out = stream or sys.stderr
    level = _level(settings, one_shot=one_shot)
    render = _renderer(settings, out)
    writer = LogWriter(stream_writer(out), render=render)
    structlog.configure(
        processors=_processors(settings, render),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", writer)),
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(level)


def _level(settings: Settings, *, one_shot: bool) -> int:
    quiet = one_shot and "log_level" not in settings.model_fields_set
    return logging.WARNING if quiet else logging.getLevelNamesMapping()[settings.log_level.upper()]


def _renderer(settings: Settings, out: TextIO) -> Render:
    kind = settings.log_format or ("console" if out.isatty() else "json")
    colours = out.isatty() and not os.environ.get("NO_COLOR")
    return ConsoleLine(colours=colours) if kind == "console" else json_line


def _processors(settings: Settings, render: Render) -> Sequence[structlog.typing.Processor]:
    copies = [FileCopy(DailyFile(settings.log_file))] if settings.log_file else []
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *copies,
        render,
    ]


def _adopt_libraries(level: int) -> None:
    root = logging.getLogger()
    root.handlers = [LibraryLog()]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in _TOLD_BY_US:
        logging.getLogger(name).setLevel(logging.CRITICAL if level > logging.DEBUG else level)
