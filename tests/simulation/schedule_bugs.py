"""Deliberate bugs in schedules, modelled on faults of other schedulers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.control import ControlEntry, ControlKind
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.control import schedule_state
from jobfleet_protocol.control.control_writer import ControlDraft, ControlWriter
from jobfleet_protocol.control.schedule_state import ScheduleState, job_of
from jobfleet_protocol.control.schedules import Schedules
from tests.simulation.emphases import MANY_FAULTS
from tests.simulation.known import Known


@contextmanager
def submitted_before_the_entry() -> Iterator[None]:
    """The job is made first: a leader that sleeps in between makes it after a pause."""
    on_top_of = Schedules._on_top_of

    async def hasty(self: Schedules, head: ControlEntry, draft: ControlDraft) -> Any:
        if draft.kind is ControlKind.FIRED:
            entry = replace(head, kind=draft.kind, details=draft.details, state=draft.state)
            request = job_of(entry)
            assert request is not None
            await self._submitter.submit_internal(request, by="schedule")
        return await on_top_of(self, head, draft)

    with patch.object(Schedules, "_on_top_of", hasty):
        yield


def operators_do_not_settle() -> AbstractContextManager[Any]:
    """An operator's entry hides a tick whose leader died before it submitted the job."""
    append = ControlWriter.append

    async def hide(self: ControlWriter, *how: Any) -> Any:
        self._settle = _settled
        return await append(self, *how)

    return patch.object(ControlWriter, "append", hide)


async def _settled(newest: ControlEntry | None) -> None:
    """Nothing is completed."""


def ticks_from_the_wall_clock() -> AbstractContextManager[Any]:
    """The next tick is counted from now, not from the last tick in the log."""
    split_due = schedule_state.split_due

    def drifting(state: ScheduleState, now: datetime) -> Any:
        missed, ticks = split_due(state, now)
        return replace(missed, ticks=[]), [now - timedelta(microseconds=1)] if ticks else []

    return patch.object(schedule_state, "split_due", drifting)


@contextmanager
def two_leaders_fire_one_tick() -> Iterator[None]:
    """Each leader makes a job with an id of its own, and notes the tick afterwards."""

    def fresh(name: str, tick: str) -> str:
        return new_id()

    with patch.object(schedule_state, "tick_job_id", fresh), submitted_before_the_entry():
        yield


def a_deployment_resumes() -> AbstractContextManager[Any]:
    """What code declares replaces the whole state, the pause included."""
    changed = schedule_state._changed

    def forget(state: ScheduleState, schedule: Schedule, *, by: str, now: datetime) -> Any:
        after = changed(state, schedule, by=by, now=now)
        return replace(after, paused=None) if by == schedule_state.CODE else after

    return patch.object(schedule_state, "_changed", forget)


def fired_whatever_stands_meanwhile() -> AbstractContextManager[Any]:
    """A tick is appended though another entry, a pause for instance, came in between."""

    async def anyhow(self: Schedules, head: ControlEntry, draft: ControlDraft) -> Any:
        return await self._append(head.name, lambda _: draft)

    return patch.object(Schedules, "_on_top_of", anyhow)


_RECURRING = {"schedules": True, "clock_steps": False, "retention_seconds": None}
_RECURRING_AND_STALLED = _RECURRING | MANY_FAULTS
_NO_RESUME = "(?i)pause"
OF_SCHEDULES = (
    Known(
        "a tick's job made before its entry",
        submitted_before_the_entry,
        8,
        _RECURRING_AND_STALLED,
        breaks=BugClass.SCHEDULES,
        shows="no entry stands for it",
    ),
    Known(
        "an operator's entry hides an unfinished tick",
        operators_do_not_settle,
        40,
        _RECURRING_AND_STALLED | {"crash_rate": 0.02},
        breaks=BugClass.SCHEDULES,
        shows="was never made",
    ),
    Known(
        "ticks counted from the wall clock",
        ticks_from_the_wall_clock,
        0,
        _RECURRING,
        breaks=BugClass.SCHEDULES,
        shows="^schedule",
    ),
    Known(
        "two leaders fire one tick",
        two_leaders_fire_one_tick,
        0,
        _RECURRING,
        breaks=BugClass.SCHEDULES,
        shows="^schedule|no entry stands for it",
    ),
    Known(
        "a deployment resumes a pause",
        a_deployment_resumes,
        19,
        _RECURRING,
        breaks=BugClass.SCHEDULES,
        shows=_NO_RESUME,
    ),
    Known(
        "a tick fired on top of a pause",
        fired_whatever_stands_meanwhile,
        22,
        _RECURRING_AND_STALLED,
        breaks=BugClass.SCHEDULES,
        shows=_NO_RESUME,
    ),
)
"""Faults of other schedulers."""
