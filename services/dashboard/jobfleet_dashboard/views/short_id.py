"""Ids as they fit into a table; the whole id is always a click or a hover away."""

from __future__ import annotations

_TAIL = 8


def short(identity: str | None) -> str:
    """Return the last eight characters: a UUIDv7 begins with a date that many jobs share."""
    return "" if identity is None else identity[-_TAIL:]
