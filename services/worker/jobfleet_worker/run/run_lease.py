"""The lease that one run of a job rests on."""

from __future__ import annotations

from collections.abc import Callable

from jobfleet_contracts.lease import Lease, is_worker_lock, outlives_jobs
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper, Watch


class RunLease:
    """A claim's lease under renewal; a job that begins to wait exchanges it for its own lock.

    Attributes:
        lease: what the claim rests on now.
        kept: the same under renewal; the fleet's or the worker's own outlives the run.
    """

    def __init__(self, lease: Lease, *, keeper: LeaseKeeper, lasting: KeptLease | None) -> None:
        """Rest on ``lasting`` if that is the claim's lock; else renew the lease from now on."""
        on_lasting = lasting is not None and lease.lock == lasting.lock
        self.lease = lease
        self.kept = lasting if on_lasting and lasting else keeper.keep(lease)
        self._keeper = keeper

    @property
    def is_left_to_worker(self) -> bool:
        """Whether the claim rests on the worker's own lease, and that lease still holds.

        Other jobs rest on it too, so it cannot be released to hand over this one.
        """
        return is_worker_lock(self.kept.lock) and self.kept.lost_reason is None

    def watch(
        self,
        *,
        give_up_at: float,
        on_lost: Callable[[str], None],
        on_renewed: Callable[[], None],
        on_overdue: Callable[[], None],
    ) -> None:
        """Have the owner's loop told of a loss and of renewals, and of ``give_up_at``.

        From then on a lease that serves this job alone is renewed no more.
        """
        self.kept.watch(self, Watch(give_up_at, on_lost, on_renewed, on_overdue))

    def exchange(self, lease: Lease, kept: KeptLease) -> Lease:
        """Rest on another lease from now on; returns the one left, still to be given up."""
        left, left_kept = self.lease, self.kept
        # The job is told of the new lease before the old one is dropped. In the other order a loss
        # between the two would be lost.
        watch = left_kept.leave(self)
        if watch is not None:
            kept.watch(self, watch)
        self.lease, self.kept = lease, kept
        if not outlives_jobs(left_kept.lock):
            self._keeper.drop(left_kept)
        return left

    def drop(self) -> None:
        """Stop watching the lease; one that serves this job alone is renewed no more."""
        self.kept.leave(self)
        if not outlives_jobs(self.kept.lock):
            self._keeper.drop(self.kept)
