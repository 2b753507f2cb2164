"""Deliberate bugs around jobs that find no free process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change, draft
from jobfleet_worker.run import process_gate
from jobfleet_worker.run.deferral import Deferral
from tests.simulation.emphases import FEW_PROCESSES
from tests.simulation.known import Known


@contextmanager
def put_off_in_any_worker() -> Iterator[None]:
    """A worker without a free process writes Deferred also where another worker runs the job."""

    async def needs_a_process(*_: Any) -> bool:
        return True

    async def append(self: Deferral, head: Event, why: str, data: dict[str, Any]) -> Event:
        if head.after.state.is_terminal:
            return head
        now = self._clock.now()
        change = Change(kind=Status.DEFERRED, due_at=now, message=why, data=data)
        event = draft(head, head.facts, change, occurred_at=now)
        return event if await self._writer.append([event]) is None else head

    with (
        patch.object(process_gate, "needs_handler", needs_a_process),
        patch.object(Deferral, "_append", append),
    ):
        yield


OF_PROCESSES = (
    Known(
        "put off for want of a process, in any worker",
        put_off_in_any_worker,
        3,
        FEW_PROCESSES,
        breaks=BugClass.WHOLE_TRAIL,
        shows="wrote in the epoch of worker",
    ),
)
"""Jobs that find no free process."""
