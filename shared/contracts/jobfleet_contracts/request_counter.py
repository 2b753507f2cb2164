"""How many requests a backend has sent to its storage, for metrics and for tests of the cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class RequestCounter:
    """Counts since the start, by operation and result; safe on one event loop.

    An operation is ``port.verb`` (``trail.insert``, ``lease.acquire``); a result is ``ok``,
    ``conflict``, ``missing``, ``refused``, ``forbidden`` or ``unavailable``. Both are few, so that
    they can be labels of a metric.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._rows: Counter[str] = Counter()

    def count(self, operation: str, result: str) -> None:
        """Note one request that was sent, whatever became of it."""
        self._counts[operation, result] += 1

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return a copy: requests by operation and result."""
        return dict(self._counts)

    def total(self, prefix: str = "") -> int:
        """Return all requests whose operation begins with ``prefix``."""
        return sum(n for (operation, _), n in self._counts.items() if operation.startswith(prefix))

    def count_rows(self, operation: str, rows: int) -> None:
        """Note the rows that an answer brought."""
        self._rows[operation] += rows

    def rows(self, prefix: str = "") -> int:
        """Return all rows that operations whose name begins with ``prefix`` have read."""
        return sum(n for operation, n in self._rows.items() if operation.startswith(prefix))
