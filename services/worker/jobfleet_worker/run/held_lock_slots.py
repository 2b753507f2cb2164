"""The lock slots that one run holds beside its lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobfleet_contracts.lease import Lease
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper, Watch


class HeldLockSlots:
    """Leases under renewal; the loss of any one stops the run.

    Attributes:
        leases: still to be given up.
    """

    def __init__(self, leases: Sequence[Lease], *, keeper: LeaseKeeper) -> None:
        self.leases = tuple(leases)
        self._kept: list[KeptLease] = [keeper.keep(lease) for lease in leases]
        self._keeper = keeper

    def trusted_until(self) -> float:
        """Return the boot-time seconds up to which all of them may be relied on."""
        return min((kept.trusted_until for kept in self._kept), default=float("inf"))

    def lost_reason(self) -> str | None:
        """Return why one of them is relied on no more, ``None`` while all are."""
        lost = (kept.lost_reason for kept in self._kept)
        return next((reason for reason in lost if reason is not None), None)

    def watch(self, *, give_up_at: float, on_lost: Callable[[str], None]) -> None:
        """Have the owner's loop told of a loss; renew none beyond ``give_up_at``."""
        for kept in self._kept:
            kept.watch(self, Watch(give_up_at, on_lost, on_renewed=_nothing, on_overdue=_nothing))

    def drop(self) -> None:
        """Renew them no more."""
        for kept in self._kept:
            self._keeper.drop(kept)

    def leave(self) -> tuple[Lease, ...]:
        """Hold them no more; returns the leases, to be given up."""
        self.drop()
        left, self.leases, self._kept = self.leases, (), []
        return left


def _nothing() -> None:
    """The lock's own renewals look for a cancel request already. A lock slot serves one job."""
