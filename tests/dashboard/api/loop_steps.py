"""Measures how long the event loop is held, in CPU time: a busy machine does not count."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class LoopSteps:
    """The longest step since the block was entered or ``forget`` called, and what it ran."""

    longest_seconds: float = 0.0
    ran: str = ""

    def forget(self) -> None:
        """Begin anew with the step after this one."""
        self.longest_seconds, self.ran = 0.0, ""


@contextmanager
def measured_steps(patch: pytest.MonkeyPatch) -> Iterator[LoopSteps]:
    """Measure each callback that the loop of this thread runs, tasks included."""
    steps = LoopSteps()
    run = asyncio.events.Handle._run

    def measured(handle: Any) -> Any:
        begun = time.thread_time()
        try:
            return run(handle)
        finally:
            spent = time.thread_time() - begun
            if spent > steps.longest_seconds:
                steps.longest_seconds, steps.ran = spent, repr(handle)[:300]

    gc.collect()
    gc.freeze()  # as `jobfleet dashboard` does at its start
    try:
        with patch.context() as patched:
            patched.setattr(asyncio.events.Handle, "_run", measured)
            yield steps
    finally:
        gc.unfreeze()
