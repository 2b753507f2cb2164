"""Deliberate bugs in named limits, modelled on faults of other job systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.claiming import decision
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.decision import LockAttempt, LockView
from jobfleet_protocol.claiming.lock_slots import LockSlotDemand, LockSlots
from jobfleet_protocol.claiming.lock_turns import TurnView
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_worker.run import start_terms
from jobfleet_worker.run.pause_watch import PauseWatch
from tests.simulation.emphases import MANY_FAULTS, PLAIN
from tests.simulation.known import FOR_EVER, ROBBED, Known
from tests.simulation.slot_bugs import slot_leaked_by_a_crash


def number_is_part_of_the_slot() -> AbstractContextManager[Any]:
    """A changed number of slots makes other locks: old and new holders do not see each other."""
    slots_of = start_terms._slot_demand

    def of_their_number(name: str, limits: Mapping[str, Limit]) -> LockSlotDemand | None:
        demand = slots_of(name, limits)
        if demand is None:
            return None
        count = len(demand.locks)
        locks = tuple(f"limit/{name}/{1000 * count + n}" for n in range(1, count + 1))
        return replace(demand, locks=locks)

    return patch.object(start_terms, "_slot_demand", of_their_number)


def slot_kept_after_a_takeover() -> AbstractContextManager[Any]:
    """A claim fences by the note of its lock alone: by the trail a lost slot is still held."""
    turns = LockSlots.turns

    async def without_fencing(
        self: LockSlots, leases: Sequence[Lease], views: Sequence[TurnView], job_id: str
    ) -> tuple[HeldLock, ...] | None:
        return await turns(self, leases, [replace(view, named=None) for view in views], job_id)

    return patch.object(LockSlots, "turns", without_fencing)


def limits_read_once() -> AbstractContextManager[Any]:
    """A worker goes by the limits that it read at its start."""
    read = PauseWatch.limits
    first: dict[int, Mapping[str, Limit]] = {}

    async def of_the_start(self: PauseWatch) -> Mapping[str, Limit]:
        found = await read(self)
        return first.setdefault(id(self), found) if found else found

    return patch.object(PauseWatch, "limits", of_the_start)


def slots_given_back_too_early() -> AbstractContextManager[Any]:
    """A claim gives a limit's slots back as soon as it stands, and the handler runs without."""
    claim = Claimer.claim

    async def and_release(self: Claimer, message: Any, **how: Any) -> Any:
        result = await claim(self, message, **how)
        for lease in getattr(result, "slot_leases", ()):
            await self.leases.let_go(lease, message.request)
        return result

    return patch.object(Claimer, "claim", and_release)


def a_full_limit_keeps_back_requests() -> AbstractContextManager[Any]:
    """A lock that nobody asked for counts as one that a sender holds: its message is dropped."""
    about = decision._about_a_waiting_job

    def hasty(head: Event, message: JobMessage, view: LockView, now: datetime) -> Any:
        if view.attempt is LockAttempt.UNTRIED:
            view = replace(view, attempt=LockAttempt.REFUSED)
        return about(head, message, view, now)

    return patch.object(decision, "_about_a_waiting_job", hasty)


_LIMITED = MANY_FAULTS | {
    "limits": True,
    "jobs": 9,
    "fleet_scope": False,
    "clock_steps": False,
    "retention_seconds": None,
    "stall_rate": 0.01,
}
OF_LIMITS = (
    Known(
        "the number of slots is part of a named limit's slot",
        number_is_part_of_the_slot,
        0,
        _LIMITED,
        breaks=BugClass.LIMITS,
        shows="^job .* #",
    ),
    Known(
        "one of two slots kept after a takeover",
        slot_kept_after_a_takeover,
        7,
        _LIMITED,
        breaks=BugClass.LIMITS,
        shows="runs beside .* in ",
    ),
    Known(
        "a worker goes by the limits of its start",
        limits_read_once,
        2,
        _LIMITED,
        breaks=BugClass.LIMITS,
        shows="jobs run under limit|^job .* #",
    ),
    Known(
        "slots of a limit given back before the handler runs",
        slots_given_back_too_early,
        0,
        _LIMITED,
        breaks=BugClass.LIMITS,
        shows=ROBBED,
    ),
    Known(
        "a full limit keeps back a waiting job's request",
        a_full_limit_keeps_back_requests,
        6,
        PLAIN | {"full_limit": True, "fleet_scope": False, "core_only": False, "fault_rate": 0.2},
        breaks=BugClass.LIMITS,
        shows="^the request of job .* was unsent",
    ),
    Known(
        "a slot of a limit leaked by a crash",
        slot_leaked_by_a_crash,
        1,
        _LIMITED | {"lock_keys": 1, "lock_slots": 1},
        breaks=BugClass.LIMITS,
        shows=FOR_EVER,
    ),
)
"""Faults of other systems' limits."""
