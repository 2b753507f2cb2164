"""What people do to schedules through the dashboard, each bounded in time."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.submission import Submitted
from jobfleet_protocol.control.schedules import Schedules

NAMELESS_CALLER = "dashboard"
"""Stands in the log where the dashboard has no keys."""

T = TypeVar("T")


class ScheduleActions:
    """Acts for one person.

    Every method raises ``BackendUnavailable`` after 8 s; the change goes on, and the same call
    again does nothing twice, but for ``run``, which makes another job.
    """

    def __init__(self, *, schedules: Schedules, by: str | None, reason: str) -> None:
        self._schedules = schedules
        self._by = by or NAMELESS_CALLER
        self._reason = reason

    async def declare(self, schedule: Schedule) -> None:
        """Declare or change it."""
        await _bounded(self._schedules.declare(schedule, by=self._by, reason=self._reason))

    async def pause(self, name: str) -> bool:
        """Stop its ticks; return whether it ticked."""
        return await _bounded(self._schedules.pause(name, by=self._by, reason=self._reason))

    async def resume(self, name: str) -> bool:
        """Let it tick again; return whether it was paused."""
        return await _bounded(self._schedules.resume(name, by=self._by, reason=self._reason))

    async def remove(self, name: str) -> bool:
        """End it; return whether it was there."""
        return await _bounded(self._schedules.remove(name, by=self._by, reason=self._reason))

    async def run(self, name: str) -> Submitted:
        """Make its job once, beside the ticks."""
        return await _bounded(self._schedules.run(name, by=self._by, reason=self._reason))

    async def backfill(self, name: str, since: datetime, until: datetime) -> list[Submitted]:
        """Make the jobs of past ticks."""
        work = self._schedules.backfill(
            name, since=since, until=until, by=self._by, reason=self._reason
        )
        return await _bounded(work)


async def _bounded(work: Coroutine[Any, Any, T]) -> T:
    unclear = "the change may be made, now or later; look at the schedule's history"
    return await answered(work, name="schedule-action", unclear=unclear)
