"""Filters of job lists: the same fields and the same checks wherever they are given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.json_check import check_characters
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.search import narrow

FIELDS = ("state", "type", "queue", "q", "lockKey", "errorGroup", "since", "until")
"""Names of a filter's fields; all values are texts."""
MAX_TEXT = 200
MAX_SEARCH = 500
"""Characters of ``q``, which is a search in the grammar of :mod:`~.search`."""
T = TypeVar("T")

_ANY: frozenset[State] = frozenset()
_QUEUE = re.compile(r"[a-z0-9_-]{1,50}")
_GROUP = re.compile(r"[0-9a-f]{16}")


def job_query(
    fields: Mapping[str, str | None], *, limit: int, cursor: str | None = None, prefix: str = ""
) -> JobQuery:
    """Return the question that a filter asks; an absent or ``None`` field lets every job through.

    Args:
        prefix: stands before the names in errors, as ``filter.`` or ``--``.

    Raises:
        InvalidRequest: names the first field that does not fit, and of a search the word.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        check_text(value, prefix + name, MAX_SEARCH if name == "q" else MAX_TEXT)

    def parsed(name: str, parse: Callable[[str, str], T]) -> T | None:
        return parse(given[name], prefix + name) if name in given else None

    query = JobQuery(
        states=parsed("state", lambda text, name: parse_states(text.split(","), name)) or _ANY,
        job_type=given.get("type"),
        queue=parsed("queue", parse_queue),
        lock_key=given.get("lockKey"),
        error_group=parsed("errorGroup", parse_group),
        since=parsed("since", parse_moment),
        until=parsed("until", parse_moment),
        limit=limit,
        cursor=cursor,
    )
    return narrow(query, given["q"], field=f"{prefix}q") if "q" in given else query


def parse_states(names: Iterable[str], field: str = "state") -> frozenset[State]:
    """Return the states of these names.

    Raises:
        InvalidRequest: one of them is none.
    """
    return frozenset(_state(name.strip(), field) for name in names)


def parse_queue(text: str, field: str = "queue") -> str:
    """Return the name of a queue.

    Raises:
        InvalidRequest: no queue can have this name.
    """
    if not _QUEUE.fullmatch(text):
        raise InvalidRequest(
            f"{field}: {text[:50]!r} cannot be a queue; names hold a-z, 0-9, _ and -", field=field
        )
    return text


def parse_group(text: str, field: str = "errorGroup") -> str:
    """Return the id of an error group.

    Raises:
        InvalidRequest: it is none.
    """
    if not _GROUP.fullmatch(text):
        raise InvalidRequest(
            f"{field}: {text[:50]!r} is not an error group; take a groupId of /api/errors",
            field=field,
        )
    return text


def parse_moment(text: str, field: str) -> datetime:
    """Return a time; a plus sign that an address turned into a blank is read as such.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return parse_time(text.replace(" ", "+"))
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from error


def check_text(text: str, field: str, most: int = MAX_TEXT) -> None:
    """Refuse what no field of a job can hold.

    Raises:
        InvalidRequest: it is empty, too long, or holds control characters.
    """
    if not text.strip() or len(text) > most:
        raise InvalidRequest(f"{field}: must be a text of 1 to {most} characters", field=field)
    check_characters(text, field=field)


def _state(name: str, field: str) -> State:
    try:
        return State(name)
    except ValueError:
        known = ", ".join(State)
        raise InvalidRequest(f"{field}: {name[:50]!r} is none of {known}", field=field) from None
