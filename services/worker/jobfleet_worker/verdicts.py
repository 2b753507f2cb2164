"""What a handler raises to choose how its attempt ends; any other exception is a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


class Retry(Exception):
    """Fail this attempt and try again, after ``after`` seconds instead of the policy's delay.

    ``details`` are kept in the event's data beside the error: JSON.
    """

    def __init__(
        self,
        message: str = "",
        *,
        after: float | timedelta | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message or "the handler asked for a retry")
        self.after = timedelta(seconds=after) if isinstance(after, int | float) else after
        self.details = dict(details or {})


class Fail(Exception):
    """Fail the job for good: no more attempts. ``details`` as with :class:`Retry`."""

    def __init__(self, reason: str = "", *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason or "the handler gave the job up")
        self.details = dict(details or {})


class Defer(Exception):
    """Not now: put the job back for ``seconds``, without using an attempt."""

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        super().__init__(reason or "the handler asked to be called later")
        self.delay = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
