"""Deliberate bugs in how a job comes to its queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from jobfleet_protocol.actions import redrive, submission
from jobfleet_protocol.claiming import trail_opening


@contextmanager
def slept_between_row_and_event() -> Iterator[None]:
    """A submitter publishes and answers as if its open row stood, however long it slept."""

    async def believe(*_: Any, **__: Any) -> None:
        return

    with ExitStack() as stack:
        for module in (submission, redrive, trail_opening):
            stack.enter_context(patch.object(module, "reopen_if_slow", believe))
        yield
