"""An event loop in a thread, for a process whose handler is a plain function."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines of asynchronous hooks; ends with the process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="hooks", daemon=True).start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result, or raise its error."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()
