"""Counts what a page asks of a backend, whatever the backend is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jobfleet_contracts.backend import Backend

PORTS = (
    "reader",
    "trail",
    "locks",
    "queue",
    "directory",
    "payloads",
    "dead_letters",
    "control_log",
    "logs",
    "marks",
)

Counts = Callable[[], tuple[int, int]]
"""Returns how many questions were asked so far, and how many rows answered them."""


class CountedPort:
    """A port that counts questions and the rows of their answers."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.asked = self.rows = 0

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **named: Any) -> Any:
            answer = await getattr(self._port, name)(*args, **named)
            self.asked += 1
            found = getattr(answer, "items", answer)
            self.rows += len(found) if isinstance(found, list | tuple | frozenset) else 1
            return answer

        return ask


def counted(backend: Backend) -> tuple[Backend, Counts]:
    """Return the backend with ports that count, and what reads the counts."""
    ports: dict[str, Any] = {name: CountedPort(getattr(backend, name)) for name in PORTS}

    def counts() -> tuple[int, int]:
        return sum(port.asked for port in ports.values()), sum(p.rows for p in ports.values())

    return replace(backend, **ports), counts
