"""Counts the characters that are masked on the event loop: no clock, no busy machine changes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from jobfleet_contracts import credentials


@dataclass
class MaskedOnLoop:
    """The most characters that one step of the loop has masked."""

    most: int = 0
    _of_step: int = 0

    def count(self, characters: int) -> None:
        """Add to what this step has masked."""
        self._of_step += characters
        self.most = max(self.most, self._of_step)

    def next_step(self) -> None:
        """Begin a step."""
        self._of_step = 0


@contextmanager
def masked_on_loop(patch: pytest.MonkeyPatch) -> Iterator[MaskedOnLoop]:
    """Count what is masked in this thread, which runs the loop."""
    counted, here = MaskedOnLoop(), threading.current_thread()
    run, mask = asyncio.events.Handle._run, credentials._masked_text

    def step(handle: Any) -> Any:
        counted.next_step()
        return run(handle)

    def masking(text: str, levels: int) -> str:
        if threading.current_thread() is here:
            counted.count(len(text))
        return mask(text, levels)

    with patch.context() as patched:
        patched.setattr(asyncio.events.Handle, "_run", step)
        patched.setattr(credentials, "_masked_text", masking)
        yield counted
