"""One log entry as a line for people: ``10:30:15 INF job-…: lock.acquired lock=…``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from structlog.typing import EventDict

from jobfleet_cli.log_json import text_of
from jobfleet_cli.terminal_text import INDENT, indented, visible

_SHORT = {
    "debug": "DBG",
    "info": "INF",
    "warning": "WRN",
    "error": "ERR",
    "critical": "CRT",
    "exception": "ERR",
}
_COLOURS = {"DBG": "2", "INF": "32", "WRN": "33", "ERR": "31", "CRT": "31;1"}
_LEFT_OUT = frozenset({"timestamp", "level", "event", "job_id", "worker_id", "exception"})
"""The worker's id is the same on each line of a console; JSON has it."""


class ConsoleLine:
    """Renders entries with the local time."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: Any, _name: str, entry: EventDict) -> str:
        """Return the line; an exception's traceback follows on lines of its own."""
        moment = datetime.fromisoformat(str(entry["timestamp"])).astimezone()
        level = _SHORT.get(str(entry.get("level")), "INF")
        job = entry.get("job_id")
        subject = f" job-{visible(text_of(job))}:" if job else ""
        details = "".join(
            f" {visible(text_of(key))}={_value(value)}"
            for key, value in entry.items()
            if key not in _LEFT_OUT
        )
        trace = entry.get("exception")
        trace = f"\n{INDENT}{indented(text_of(trace))}" if trace else ""
        event = visible(text_of(entry.get("event", "")))
        return f"{moment:%H:%M:%S} {self._level(level)}{subject} {event}{details}{trace}"

    def _level(self, level: str) -> str:
        return f"\x1b[{_COLOURS[level]}m{level}\x1b[0m" if self._colours else level


def _value(value: Any) -> str:
    text = visible(text_of(value))
    return f'"{text}"' if " " in text or not text else text
