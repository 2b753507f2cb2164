"""Deliberate bugs in pauses, modelled on faults of other queue systems."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.state import State
from jobfleet_protocol.control.pause_state import NO_PAUSES, FleetPauses
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_worker.run import pause_watch
from jobfleet_worker.upkeep.rescuer import Rescuer
from tests.simulation.emphases import MANY_FAULTS
from tests.simulation.known import FOR_EVER, Known


def the_resume_publishes() -> AbstractContextManager[Any]:
    """Jobs of a paused type are left to the resuming command, and are lost with it."""
    pace_of = Rescuer._pace_of

    def idle(self: Rescuer, row: OpenRow, fleet: Any) -> Any:
        if row.state is State.DEFERRED and 0 < row.published < row.sequence:
            return None
        return pace_of(self, row, fleet)

    return patch.object(Rescuer, "_pace_of", idle)


def a_restart_resumes() -> AbstractContextManager[Any]:
    """A process begins with no pauses, and hears of those that come while it lives."""
    read = Pauses.read
    seen: dict[int, FleetPauses] = {}

    async def fresh(self: Pauses) -> FleetPauses:
        found = await read(self)
        # What stood at the start counts for nothing until it changes.
        return NO_PAUSES if seen.setdefault(id(self), found) == found else found

    return patch.object(Pauses, "read", fresh)


def a_claim_heeds_no_pause() -> AbstractContextManager[Any]:
    """Only consuming heeds a pause: what comes another way, or is of a paused type, starts."""

    def none(self: FleetPauses, head: Any) -> None:
        return None

    return patch.object(FleetPauses, "holding_job", none)


def an_old_look_counts_for_ever() -> AbstractContextManager[Any]:
    """A worker that stood still goes by what it read before."""
    return patch.object(pause_watch, "KNOWN_FOR_HEARTBEATS", 1e9)


_PAUSING = {"pauses": True, "clock_steps": False, "retention_seconds": None}
_STALLED = _PAUSING | MANY_FAULTS
_STARTED = "started at .* was paused"
OF_PAUSES = (
    Known(
        "the resuming command publishes, and is lost",
        the_resume_publishes,
        3,
        _PAUSING,
        breaks=BugClass.PAUSES,
        shows=FOR_EVER,
    ),
    Known(
        "a restart or a deployment resumes a pause",
        a_restart_resumes,
        9,
        _STALLED,
        breaks=BugClass.PAUSES,
        shows=_STARTED,
    ),
    Known(
        "a claim heeds no pause, only consuming does",
        a_claim_heeds_no_pause,
        5,
        _PAUSING,
        breaks=BugClass.PAUSES,
        shows=_STARTED,
    ),
    Known(
        "a worker that slept goes by an old look at the pauses",
        an_old_look_counts_for_ever,
        170,
        _STALLED,
        breaks=BugClass.PAUSES,
        shows=_STARTED,
    ),
)
"""Faults of pauses elsewhere."""
