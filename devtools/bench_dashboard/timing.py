"""How long answers take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from statistics import median
from urllib.parse import urlsplit

from devtools.bench_dashboard.cpu_time import cpu_seconds
from devtools.bench_dashboard.served_here import Asked

LIMIT_MS = 200.0


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of one path, from the request to the last byte of the answer.

    Attributes:
        cpu_ms: CPU time of the processes that answer, of one answer, to half a millisecond.
        questions, rows: to the backend's ports, and what they answered; ``None``: not counted.
    """

    name: str
    times_ms: tuple[float, ...]
    size: int
    status: int
    cpu_ms: float
    questions: int | None = None
    rows: int | None = None

    @property
    def median_ms(self) -> float:
        """Half of the answers took less."""
        return median(self.times_ms)

    @property
    def p95_ms(self) -> float:
        """One in twenty took longer."""
        return sorted(self.times_ms)[int(len(self.times_ms) * 0.95)]


def timed(
    address: str, pids: Sequence[int], paths: Iterable[tuple[str, str]], *, repeats: int
) -> list[Timed]:
    """Ask for each path; the first answer, which compiles templates, does not count.

    Args:
        pids: whose CPU time counts: the dashboard's process, and a database server's.
    """
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    return [_timed(connection, pids, name, path, repeats) for name, path in paths]


def with_counts(results: Sequence[Timed], asked: Sequence[Asked]) -> list[Timed]:
    """Return the times with what the same pages asked of their backend."""
    counts = {one.name: one for one in asked}
    return [
        replace(one, questions=counts[one.name].requests, rows=counts[one.name].rows)
        for one in results
    ]


def _timed(
    connection: HTTPConnection, pids: Sequence[int], name: str, path: str, repeats: int
) -> Timed:
    _, size, status = _answer(connection, path)
    before = cpu_seconds(*pids)
    times = tuple(_answer(connection, path)[0] for _ in range(repeats))
    cpu_ms = (cpu_seconds(*pids) - before) / repeats * 1000
    return Timed(name, times, size, status, cpu_ms)


def _answer(connection: HTTPConnection, path: str) -> tuple[float, int, int]:
    """Return milliseconds, bytes and status."""
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    size = len(answer.read())
    return (time.perf_counter() - began) * 1000, size, answer.status
