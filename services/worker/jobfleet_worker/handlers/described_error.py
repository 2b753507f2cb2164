"""What an error of a handler says, as JSON can hold it; users' own classes may be in the way.

Texts of errors run users' code: call these functions where the handler ran, within its limit.
"""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobfleet_contracts.codec import encodable
from jobfleet_contracts.cut_text import cut_text, ends_of
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import MAX_MESSAGE_CHARACTERS
from jobfleet_contracts.json_check import MAX_PAYLOAD_BYTES, check_json
from jobfleet_contracts.outcome import AttemptFailed, AttemptTimedOut, JobError, Outcome
from jobfleet_contracts.short_text_cache import keep_for_short_texts
from jobfleet_protocol.trail.transitions import cut_message
from jobfleet_worker.handlers.error_text import error_text, traceback_text, type_of
from jobfleet_worker.handlers.result_json import to_json
from jobfleet_worker.handlers.verdicts import Fail, Retry

MAX_TRACEBACK_CHARACTERS = 8_000
_NAMED_IN_A_GROUP = 5
_NAMED_CHARACTERS = 500
_PLACE_CHARACTERS = 200
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_OUR_PACKAGES = frozenset(
    {"jobfleet_worker", "jobfleet_protocol", "jobfleet_contracts", "jobfleet_backends"}
)


class AttemptError(Exception):
    """Stands for an error that was raised in another process, or for a process that died."""


def error_of(outcome: Outcome) -> BaseException | None:
    """Return what ended a failed attempt as an exception; ``None`` for any other outcome."""
    match outcome:
        case AttemptFailed(error, cause=None):
            stands_for = AttemptError(f"{error.type}: {error.message}")
            if error.traceback:
                stands_for.add_note(error.traceback)
            return stands_for
        case AttemptFailed(cause=cause):
            return cause
        case AttemptTimedOut(limit):
            return TimeoutError(f"over its time limit of {limit:g} s")
    return None


def describe_error(error: BaseException) -> JobError:
    """Return an error as the trail keeps it; long texts are cut, with a mark."""
    return JobError(type_of(error), text_of(error), traceback_of(error), place_of(error))


def place_of(error: BaseException) -> str:
    """Return module and function of the innermost frame of the user's code.

    Frames of jobfleet, of the standard library and of installed packages count only where there
    are no others: the same fault of a library is then told apart by who called it.
    """
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"
        if not _is_foreign(frame.f_code.co_filename):
            found = name
    return encodable(found or _innermost(error))[:_PLACE_CHARACTERS]


def _innermost(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return ""
    return f"{frames[-1].f_globals.get('__name__', '?')}.{frames[-1].f_code.co_qualname}"


@keep_for_short_texts(4096)
def _is_foreign(file: str) -> bool:
    parts = Path(file).parts
    installed = "site-packages" in parts or "dist-packages" in parts
    return installed or file.startswith((_STANDARD_LIBRARY, "<")) or _is_ours(parts)


def _is_ours(parts: tuple[str, ...]) -> bool:
    return any(part in _OUR_PACKAGES for part in parts)


def text_of(error: BaseException) -> str:
    """Return its text, the name of its type if it has none; a group's names its errors."""
    if isinstance(error, BaseExceptionGroup):
        own = encodable(cut_text(error_text(error), MAX_MESSAGE_CHARACTERS))
        return cut_message(f"{own}: {named(list(leaves_of(error)))}")
    return cut_message(error_text(error))


def named(errors: list[BaseException]) -> str:
    """Return types and texts of some errors on one line."""
    names = [
        f"{type_of(each)}: {encodable(cut_text(error_text(each), _NAMED_CHARACTERS))}"
        for each in errors[:_NAMED_IN_A_GROUP]
    ]
    rest = len(errors) - len(names)
    return "; ".join(names) + (f"; and {rest} more" if rest else "")


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that are not groups, at any depth."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting += reversed(each.exceptions)
        else:
            yield each


def traceback_of(error: BaseException) -> str:
    """Return its traceback; a long one loses its middle."""
    try:
        text = _relative(encodable(traceback_text(error)))
    except Exception as broken:  # noqa: BLE001 - users' own __notes__ and the like
        return f"no traceback: {type(broken).__name__} was raised while it was written"
    if len(text) <= MAX_TRACEBACK_CHARACTERS:
        return text
    begin, end = ends_of(text, MAX_TRACEBACK_CHARACTERS // 2)
    left_out = len(text) - len(begin) - len(end)
    return f"{begin}\n… [{left_out:,} characters cut] …\n{end}"


def details_of(error: Fail | Retry) -> dict[str, Any]:
    """Return its details, or why they are left out."""
    try:
        details: dict[str, Any] = to_json(error.details, most_bytes=MAX_PAYLOAD_BYTES)
        check_json(details, field="details")
    except (TypeError, ValueError, InvalidRequest) as problem:
        return {"details": f"left out: {problem}"}
    return details


def _relative(text: str) -> str:
    """Name files as imports do: a reader need not learn where a host keeps its packages."""
    for folder in sorted({entry for entry in sys.path if len(entry) > 1}, key=len, reverse=True):
        text = text.replace(f'File "{folder}/', 'File "')
    return text
