"""Deliberate bugs in locks: their leases, their notes, their turns, trust in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from jobfleet_contracts.errors import TrustEnded
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.claiming.lock_leases import LockLeases
from jobfleet_protocol.claiming.lock_turns import LockTurns, TurnView
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from tests.simulation.fake_leases import FakeLeaseStore


def predecessor_not_fenced() -> AbstractContextManager[Any]:
    """The successor under a lock leaves the trail of its predecessor as it is."""

    async def closed(self: LockTurns, view: TurnView) -> bool:
        return True

    return patch.object(LockTurns, "_closed", closed)


@contextmanager
def trust_checked_before_the_read() -> Iterator[None]:
    """A claimer that sleeps in its read goes on as if it held the lease."""
    look, trusts = TrailClaim._look, LockLeases.trusts

    async def look_in_trust(
        self: TrailClaim, message: JobMessage, lease: Lease, **how: bool
    ) -> TurnView:
        if not trusts(self._leases, lease):
            raise TrustEnded("the lease ran out")
        return await look(self, message, lease, **how)

    def always(self: LockLeases, lease: Lease) -> bool:
        return True

    with ExitStack() as stack:
        stack.enter_context(patch.object(TrailClaim, "_look", look_in_trust))
        stack.enter_context(patch.object(LockLeases, "trusts", always))
        yield


@contextmanager
def late_note_accepted() -> Iterator[None]:
    """The note of a lock is written whatever note stands there by now."""
    write_note = FakeLeaseStore.write_note

    async def write(self: FakeLeaseStore, lock: str, lease_id: str, note: Any, **_: Any) -> None:
        await write_note(self, lock, lease_id, note)

    with patch.object(FakeLeaseStore, "write_note", write):
        yield


@contextmanager
def fleet_trust_by_hearsay() -> Iterator[None]:
    """The holder of the fleet's lease fences without a look at the clock."""
    fence_named = LockTurns.fence_named

    async def fence(self: LockTurns, *, lock: str, trusted: Callable[[], bool]) -> None:
        await fence_named(self, lock=lock, trusted=lambda: True)

    with patch.object(LockTurns, "fence_named", fence):
        yield


def claim_after_an_unclear_release() -> AbstractContextManager[Any]:
    """A claim whose release was unclear is made again under the same lease id."""
    return patch.object(LockLeases, "let_go", LockLeases.give_up)
