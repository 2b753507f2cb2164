"""The kinds of the columns: a table takes any value in any column, unlike a database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from azure.data.tables import EntityProperty

_TEXTS = (
    "JobId JobName JobType TypeKey Queue LockKey EventId Status Message State WorkerId Holder Lock "
    "Locks Data Salt DataHash TextHash Hash Hint0 Hint1 Hint2 Hint3 "
    "Error Place"
)
_NUMBERS = (
    "Sequence Attempt Epoch AttemptsUsed MaxAttempts Incarnation Priority LockSlots LockTurn "
    "Takeovers MaxTakeovers LifecycleBefore Published0 Published1 Published2 Published3"
)
_FLAGS = "Sent CancelRequested Dismissed"
_TIMES = "OccurredAt CreatedAt DueAt OpenedAt UpdatedAt FirstAt LastAt"

_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS.split(), (str,)),
    **dict.fromkeys(_NUMBERS.split(), (int,)),
    **dict.fromkeys(_FLAGS.split(), (bool,)),
    **dict.fromkeys(_TIMES.split(), (datetime,)),
    "DurationMs": (int, EntityProperty),
}
_HINT: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("state", "updatedAt"), (str,)),
    **dict.fromkeys(("status", "lock", "dueAt", "workerId", "message"), (str, type(None))),
    **dict.fromkeys(("sequence", "attempt", "maxAttempts", "epoch"), (int,)),
    "steps": (int, type(None)),
    "sent": (bool,),
}


def check_kinds(entity: Mapping[str, Any]) -> None:
    """Check that each known column of an entity holds a value of its kind.

    Raises:
        TypeError: names the column.
    """
    _check(entity, _KINDS)


def check_hint(hint: Any) -> None:
    """Check a hint of an open row likewise.

    Raises:
        TypeError: it is no object, or names the member.
    """
    if not isinstance(hint, dict):
        raise TypeError(f"a hint is {str(hint)[:50]!r}")
    _check(hint, _HINT)


def _check(values: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    for name, value in values.items():
        allowed = kinds.get(name)
        # Times come as a class of the library; a flag is a number for `isinstance`.
        if allowed is None or type(value) in allowed:
            continue
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise TypeError(f"{name} is {str(value)[:50]!r}")
