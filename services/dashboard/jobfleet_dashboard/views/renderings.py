"""What many watch is rendered once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from jobfleet_contracts.ports import Clock

FRESH_SECONDS = 0.25
_MAX_KEPT = 256

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Rendering:
    task: asyncio.Task[Any]
    at: float


class Renderings:
    """Shares one rendering among all who ask for the same within 250 ms."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, ...], _Rendering] = {}

    async def share(self, key: tuple[str, ...], render: Callable[[], Awaitable[T]]) -> T:
        """Return what ``render`` returns, or what it returned to another viewer just now."""
        now = self._clock.boottime()
        kept = self._kept.get(key)
        if kept is None or now - kept.at >= FRESH_SECONDS:
            self._drop_old(now)
            kept = _Rendering(asyncio.ensure_future(_run(render)), now)
            self._kept[key] = kept
        shared: T = await asyncio.shield(kept.task)
        return shared

    def _drop_old(self, now: float) -> None:
        if len(self._kept) >= _MAX_KEPT:
            self._kept = {k: r for k, r in self._kept.items() if now - r.at < FRESH_SECONDS}


async def _run(render: Callable[[], Awaitable[T]]) -> T:
    return await render()
