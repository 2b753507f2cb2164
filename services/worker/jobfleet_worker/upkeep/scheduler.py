"""Fire the ticks of all schedules; the leader does it, and another one beside it does no harm."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from jobfleet_contracts.backend import MOST_CLOCK_OFFSET
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control.schedule_state import ScheduleState
from jobfleet_protocol.control.schedules import Schedules

CLOCK_WRONG = "schedules.clock_wrong"
SCHEDULE_UNREADABLE = "schedule.unreadable"
LONGEST_LOOK, SHORTEST_LOOK = 2.0, 0.02
"""Seconds between two looks at the log: a new or changed schedule is seen within the longest."""

_log = structlog.get_logger()


class Scheduler:
    """Looks at every schedule, fires what is due, and says when to look again.

    A process whose clock is wrong fires nothing: a clock that is ahead would fire before the time.
    """

    def __init__(
        self, *, schedules: Schedules, clock: Clock, clock_offset: Callable[[], float]
    ) -> None:
        self._schedules = schedules
        self._clock = clock
        self._clock_offset = clock_offset
        self._is_wrong = False
        self._unreadable: set[str] = set()

    async def sweep(self) -> float:
        """Fire all due ticks; return the seconds until the next one, 2 at most.

        Raises:
            BackendError: the log or the trail did not answer. What was not fired stays due.
        """
        if self._clock_is_wrong():
            return LONGEST_LOOK
        heads = [await self._fire(head) for head in await self._schedules.all()]
        now = self._clock.now()
        wait = min((self._until_due(head, now) for head in heads), default=LONGEST_LOOK)
        return min(max(SHORTEST_LOOK, wait), LONGEST_LOOK)

    def _clock_is_wrong(self) -> bool:
        offset = self._clock_offset()
        is_wrong = abs(offset) > MOST_CLOCK_OFFSET
        if is_wrong and not self._is_wrong:
            _log.error(
                CLOCK_WRONG,
                ahead_seconds=round(offset, 1),
                remedy="this process fires no schedule; synchronise the machine's clock (NTP)",
            )
        self._is_wrong = is_wrong
        return is_wrong

    async def _fire(self, head: ControlEntry) -> ControlEntry:
        try:
            return await self._schedules.fire_due(head, self._clock.now())
        except BackendError:
            raise
        except Exception as error:  # noqa: BLE001 - one schedule that cannot be read stops no other
            if head.entry_id not in self._unreadable:
                _log.error(SCHEDULE_UNREADABLE, schedule=head.name, error=str(error))
            self._unreadable.add(head.entry_id)
            return head

    def _until_due(self, head: ControlEntry, now: datetime) -> float:
        if head.entry_id in self._unreadable:
            return LONGEST_LOOK
        state = ScheduleState.of(head)
        following = next(state.ticks(), None) if state.fires else None
        if following is None:
            return LONGEST_LOOK
        return (state.schedule.due_at(following) - now).total_seconds()
