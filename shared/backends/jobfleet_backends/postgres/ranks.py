"""In which order the statements of one transaction run; see ``BatchStatement.rank``."""

from __future__ import annotations

from enum import IntEnum, auto


class Rank(IntEnum):
    """Every process keeps this order, so that no two wait for each other in a circle."""

    LEASE = auto()
    NOTE = auto()
    RELEASE = auto()
    TAKE = auto()
    CLAIM = auto()
    OPEN = auto()
    TRAIL = auto()
    MESSAGE = auto()
    ACKNOWLEDGE = auto()
    RECORD = auto()
    KEYS = auto()
    HINT = auto()
    PUBLISHED = auto()
    CLOSE = auto()
    CONTROL = auto()
