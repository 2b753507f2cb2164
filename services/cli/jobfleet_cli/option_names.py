"""Refusals of a request, told by the options that the command has for its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic.alias_generators import to_snake

from jobfleet_contracts.errors import InvalidRequest

_SHORTER = {
    "everySeconds": "--every",
    "jitterSeconds": "--jitter",
    "timeoutSeconds": "--timeout",
    "jobName": "--name",
    "limits": "--limit",
}
_JOB = ("type", "jobName", "description", "payload", "priority", "queue", "lockKey", "lockSlots")
_RULE = ("cron", "everySeconds", "timezone", "start", "overlap", "catchUp", "jitterSeconds")
_MORE = ("limits", "runAt", "delay", "maxAttempts", "onLost", "maxTakeovers")
_OTHERS = ("timeoutSeconds", "then", "slots", "rate", "burst")
OPTIONS = {
    field: _SHORTER.get(field, f"--{to_snake(field).replace('_', '-')}")
    for field in (*_JOB, *_RULE, *_MORE, *_OTHERS)
}
"""The option of each field."""
_IN_TEXT = re.compile(rf"\b({'|'.join(name for name in OPTIONS if not name.islower())})\b")
"""Fields that are not words of plain English."""


@contextmanager
def named_by_options() -> Iterator[None]:
    """Let a refusal inside name options, ``--every``, if it names fields, ``everySeconds``."""
    try:
        yield
    except InvalidRequest as error:
        field, _, inner = (error.field or "").partition(".")
        message = str(error).removeprefix(f"{error.field}: ")
        if field not in OPTIONS or message == str(error):
            raise
        place = f"{inner}: " if inner and not inner.isdigit() else ""
        text = _IN_TEXT.sub(lambda found: OPTIONS[found[0]], message)
        raise InvalidRequest(f"{OPTIONS[field]}: {place}{text}", field=error.field) from error
