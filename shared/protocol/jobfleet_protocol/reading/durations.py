"""Spans of time as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_TENTHS_BELOW = 10


def spell(seconds: float) -> str:
    """Return ``40 ms``, ``1.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min`` or ``3 d 4 h``."""
    seconds = max(0.0, seconds)
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    for size, unit, smaller, small_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"


OVERDUE = timedelta(seconds=10)
"""What is late by less than this happens now."""


def spell_due(moment: datetime, now: datetime) -> str:
    """Return ``in 8 s``, ``now``, or ``due 15 min ago`` of what should have happened."""
    if moment > now:
        return f"in {spell(seconds_between(now, moment))}"
    return "now" if now - moment < OVERDUE else f"due {spell(seconds_between(moment, now))} ago"


def spell_ms(milliseconds: int | None) -> str:
    """Return what :func:`spell` does for whole milliseconds; empty for ``None``."""
    return "" if milliseconds is None else spell(milliseconds / 1000)


def seconds_between(start: datetime, end: datetime) -> float:
    """Return the seconds from ``start`` to ``end``, never negative."""
    return max(0.0, (end - start).total_seconds())
