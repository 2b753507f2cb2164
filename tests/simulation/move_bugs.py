"""Deliberate bugs in the seal under which a fleet is copied."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.verification import complete_history
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from jobfleet_protocol.control import fleet_seal
from jobfleet_protocol.moving import move_out
from jobfleet_protocol.moving.move_out import MoveOut
from jobfleet_protocol.trail.tombstone import is_seal
from tests.simulation.emphases import LATE_AND_MOVED, MANY_FAULTS, MOVED, OLD
from tests.simulation.known import Known


def a_look_counts_for_ever() -> AbstractContextManager[Any]:
    """A process that has once seen no seal looks for none again."""
    return patch.object(fleet_seal, "KNOWN_SECONDS", 1e9)


def the_copy_begins_at_once() -> AbstractContextManager[Any]:
    """The mover copies as soon as its seal stands, though processes go by older looks."""
    return patch.object(move_out, "SETTLED_SECONDS", 0.0)


def a_claim_looks_only_before() -> AbstractContextManager[Any]:
    """A worker looks for the seal before its claim, and starts the handler without another look."""

    async def nothing(self: TrailClaim, **_: Any) -> None:
        return None

    return patch.object(TrailClaim, "_require_no_seal", nothing)


def a_lost_worker_is_not_fenced() -> AbstractContextManager[Any]:
    """A job whose lock is free is copied as it stands, so its worker may end it in the source."""

    async def copied(self: MoveOut, history: Sequence[Event]) -> Sequence[Event]:
        head = history[-1]
        while head.after.state is State.RUNNING and head.after.lock is not None:
            if not await self._leases.is_leased(head.after.lock):
                break
            await self._wait_for(head.job_id)
            history = await complete_history(self._trail, head.job_id)
            head = history[-1]
        return history

    return patch.object(MoveOut, "_unattended", copied)


def a_sealed_history_is_left_out() -> AbstractContextManager[Any]:
    """The mover takes a job whose removal has begun for gone, and copies no tombstone."""
    whole = MoveOut._of_job

    async def copied(self: MoveOut, history: Sequence[Event]) -> Sequence[Event]:
        return [] if is_seal(history[-1]) else await whole(self, history)

    return patch.object(MoveOut, "_of_job", copied)


OF_MOVES = (
    Known(
        "a process that saw no seal once looks for none again",
        a_look_counts_for_ever,
        12,
        MOVED | MANY_FAULTS,
        breaks=BugClass.MOVES,
        shows="the copy lacks",
    ),
    Known(
        "the copy begins as soon as the seal stands",
        the_copy_begins_at_once,
        33,
        MOVED | MANY_FAULTS,
        breaks=BugClass.MOVES,
        shows="the copy lacks",
    ),
    Known(
        "a claim looks for the seal only before it is written",
        a_claim_looks_only_before,
        76,
        LATE_AND_MOVED,
        breaks=BugClass.MOVES,
        shows="the copy lacks its Started",
    ),
    Known(
        "a job is copied while its lost worker could still end it",
        a_lost_worker_is_not_fenced,
        7,
        MOVED | MANY_FAULTS,
        breaks=BugClass.MOVES,
        shows="copied while it runs",
    ),
    Known(
        "a job is left out of the copy while its history is removed",
        a_sealed_history_is_left_out,
        0,
        MOVED | OLD,
        breaks=BugClass.MOVES,
        shows="the copy lacks",
    ),
)
"""Faults of a fleet that is copied while it is alive."""
