"""Deliberate bugs in limits, modelled on faults of other job systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming import decision, trail_claim
from jobfleet_protocol.claiming.decision import Decision, LockView
from jobfleet_protocol.claiming.lock_turns import LockTurns
from jobfleet_protocol.claiming.lock_views import LockViews
from tests.simulation.emphases import MANY_FAULTS, ONE_LOCK
from tests.simulation.fake_leases import LockContainer
from tests.simulation.known import FOR_EVER, ROBBED, Known


def stale_note_of_another_slot() -> AbstractContextManager[Any]:
    """A note is believed by its epoch alone: the job that it names may run in another slot."""
    fence = LockTurns._fence

    async def by_the_epoch(self: LockTurns, lock: str, note: Any, named: Event) -> bool:
        return await fence(self, named.after.lock or lock, note, named)

    return patch.object(LockTurns, "_fence", by_the_epoch)


def slot_leaked_by_a_crash() -> AbstractContextManager[Any]:
    """A slot is given back by its holder alone, and stays taken where that has crashed."""

    def is_leased(self: LockContainer, blob: Any) -> bool:
        return blob.lease_id is not None

    return patch.object(LockContainer, "_is_leased", is_leased)


def slot_released_twice() -> AbstractContextManager[Any]:
    """A release frees the slot, though another job may hold it by now."""

    def release(self: LockContainer, lock: str, lease_id: str) -> None:
        blob = self._blobs.get(lock)
        if blob is not None:
            blob.lease_id = None

    return patch.object(LockContainer, "release", release)


@contextmanager
def limit_exceeded_after_a_takeover() -> Iterator[None]:
    """A lost job starts in any free slot, beside the one that its holder may still use."""
    judge = decision.decide

    def anywhere(head: Event, message: JobMessage, lease: LockView, now: datetime) -> Decision:
        return judge(head, message, replace(lease, lock_slots=()), now)

    async def nobody_lives(self: LockViews, head: Event, held: str | None) -> bool:
        slots = head.facts.lock_slots > 1 and head.after.state is State.RUNNING
        return False if slots and held is not None else await holder_lives(self, head, held)

    holder_lives = LockViews._holder_lives
    with ExitStack() as stack:
        stack.enter_context(patch.object(trail_claim, "decide", anywhere))
        stack.enter_context(patch.object(LockViews, "_holder_lives", nobody_lives))
        yield


_SLOTS = ONE_LOCK | {"lock_slots": 2}
_SLOTS_WITH_FAULTS = _SLOTS | MANY_FAULTS | {"stall_rate": 0.01}
OF_SLOTS = (
    Known(
        "a stale note of another slot believed by its epoch",
        stale_note_of_another_slot,
        51,
        _SLOTS,
        breaks=BugClass.LIMITS,
        shows=ROBBED,
    ),
    Known(
        "a slot leaked by a crash",
        slot_leaked_by_a_crash,
        0,
        _SLOTS_WITH_FAULTS,
        breaks=BugClass.LIMITS,
        shows=FOR_EVER,
    ),
    Known(
        "a slot released twice",
        slot_released_twice,
        138,
        _SLOTS_WITH_FAULTS,
        breaks=BugClass.LIMITS,
        shows=ROBBED,
    ),
    Known(
        "a limit exceeded after a takeover",
        limit_exceeded_after_a_takeover,
        1,
        _SLOTS_WITH_FAULTS,
        breaks=BugClass.LIMITS,
        shows=ROBBED,
    ),
)
"""Faults of other systems' slots."""
