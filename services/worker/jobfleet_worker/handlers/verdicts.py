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

    ``details`` are kept in the event's data beside the error: JSON.

    Raises:
        ValueError: a delay of more than ten years.
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
        self.after = None if after is None else _delay(after)
        self.details = dict(details or {})


class Fail(Exception):
    """Fail the job for good: no more attempts. ``details`` as with :class:`Retry`."""

    details = _NO_DETAILS

    def __init__(self, reason: str = "", *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason or "the handler gave the job up")
        self.details = dict(details or {})


class Defer(Exception):
    """Not now: put the job back for ``seconds``, without using an attempt.

    Raises:
        ValueError: a delay of more than ten years.
    """

    delay = timedelta(minutes=1)

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        super().__init__(reason or "the handler asked to be called later")
        self.delay = _delay(seconds)


def _delay(said: float | timedelta) -> timedelta:
    """What is wrong with it shows where it is said, and not when the attempt's end is written."""
    delay = said if isinstance(said, timedelta) else timedelta(seconds=said)
    if delay > LONGEST_DELAY:
        raise ValueError(f"a delay of {delay} is too long; at most {LONGEST_DELAY.days} days")
    return delay
