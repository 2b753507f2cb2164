"""What a handler raises to choose how its attempt ends; any other exception is a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

LONGEST_DELAY = timedelta(days=3650)
_NO_DETAILS: Mapping[str, Any] = MappingProxyType({})
# Fields have values in the classes too: a subclass may not call the constructor of its base.


class Retry(Exception):
    """Fail this attempt and try again, after ``after`` seconds instead of the policy's delay.

    ``details`` are kept in the event's data beside the error: JSON, up to 1 MiB.

    Raises:
        TypeError: ``after`` is neither a number of seconds nor a ``timedelta``.
        ValueError: it is negative, or more than ten years.
    """

    after: timedelta | None = None
    details = _NO_DETAILS

    def __init__(
        self,
        message: str = "",
        *,
        after: float | timedelta | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message or "the handler asked for a retry")
        self.after = None if after is None else delay_of(after)
        self.details = dict(details or {})


class Fail(Exception):
    """Fail the job for good: no more attempts. ``details`` as with :class:`Retry`."""

    details = _NO_DETAILS

    def __init__(self, reason: str = "", *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason or "the handler gave the job up")
        self.details = dict(details or {})


class Defer(Exception):
    """Not now: put the job back for ``seconds``, without using an attempt.

    A job that is deferred again and again without progress in between waits longer and longer, a
    second at least.

    Raises:
        TypeError: ``seconds`` is neither a number nor a ``timedelta``.
        ValueError: it is negative, or more than ten years.
    """

    delay = timedelta(minutes=1)

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        super().__init__(reason or "the handler asked to be called later")
        self.delay = delay_of(seconds)


def delay_of(value: Any) -> timedelta:
    """Return a delay, checked where it is given and not when the attempt's end is written.

    Raises:
        TypeError: it is neither a number of seconds nor a ``timedelta``.
        ValueError: it is negative, no finite number, or more than ten years.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise TypeError(f"a delay is a number of seconds or a timedelta, not {value!r}")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not 0 <= seconds <= LONGEST_DELAY.total_seconds():
        raise ValueError(
            f"a delay of {seconds:g} s is not possible; it can be 0 s to {LONGEST_DELAY.days} days"
        )
    return timedelta(seconds=seconds)
