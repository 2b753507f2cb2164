"""A port of a real adapter, some of whose calls go wrong as networks do."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.errors import BackendUnavailable


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    Attributes:
        applied: the call takes effect, and its answer is lost.
        error: raised in place of an answer.
        meanwhile: awaited before the call goes through.
    """

    applied: bool = False
    error: Exception | None = None
    meanwhile: Callable[[], Any] | None = None


class FaultyPort:
    """Stands in front of a port; counts calls, and spoils those that a test names."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.calls: Counter[str] = Counter()

    def lose_request(self, method: str, *, times: int = 1, error: Exception | None = None) -> None:
        """The next calls do not arrive."""
        self._plan(method, times, Fault(error=error or BackendUnavailable("lost on the way")))

    def lose_reply(self, method: str, *, times: int = 1, error: Exception | None = None) -> None:
        """The next calls take effect, and nobody learns of it."""
        lost = error or BackendUnavailable("no answer")
        self._plan(method, times, Fault(applied=True, error=lost))

    def before(self, method: str, action: Callable[[], Any]) -> None:
        """Something else happens just before the next call arrives."""
        self._plan(method, 1, Fault(applied=True, meanwhile=action))

    def heal(self) -> None:
        self._faults.clear()

    def _plan(self, method: str, times: int, fault: Fault) -> None:
        self._faults[method].extend([fault] * times)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(real):
            return real

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            planned = self._faults[name]
            fault = planned.popleft() if planned else Fault(applied=True)
            if fault.meanwhile is not None:
                await fault.meanwhile()
            answer = await real(*args, **kwargs) if fault.applied else None
            if fault.error is not None:
                raise fault.error
            return answer

        return call
