"""The lease that one run of a job rests on."""

from __future__ import annotations

from collections.abc import Callable

from jobfleet_contracts.lease import FLEET_LOCK, Lease
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper


class RunLease:
    """A claim's lease under renewal; a job that begins to wait exchanges it for its own lock.

    Attributes:
        lease: what the claim rests on now.
        kept: the same under renewal; in scope ``fleet`` the fleet's, which outlives the run.
    """

    def __init__(self, lease: Lease, *, keeper: LeaseKeeper, fleet: KeptLease | None) -> None:
        on_fleet = fleet is not None and lease.lock == FLEET_LOCK
        self.lease = lease
        self.kept = fleet if on_fleet and fleet else keeper.keep(lease)
        self._keeper = keeper

    def watch(
        self, *, give_up_at: float, on_lost: Callable[[str], None], on_renewed: Callable[[], None]
    ) -> None:
        """Have the owner's loop told of a loss and of renewals; renew no more at ``give_up_at``."""
        self.kept.watch(give_up_at=give_up_at, on_lost=on_lost, on_renewed=on_renewed)

    def exchange(self, lease: Lease, kept: KeptLease) -> Lease:
        """Rest on another lease from now on; returns the one left, still to be given up."""
        left, left_kept = self.lease, self.kept
        # The listeners move before the old lease is dropped. In the other order a loss between
        # the two would be told to nobody.
        kept.take_over_from(left_kept)
        self.lease, self.kept = lease, kept
        left_kept.release_from_job()
        if left_kept.lock != FLEET_LOCK:
            self._keeper.drop(left_kept)
        return left

    def drop(self) -> None:
        """Renew it no more; the fleet's lease goes on."""
        if self.kept.lock != FLEET_LOCK:
            self._keeper.drop(self.kept)
