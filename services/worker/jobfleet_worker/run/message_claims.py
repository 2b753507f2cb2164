"""Claims the jobs of the messages that a worker receives."""

from __future__ import annotations

from jobfleet_contracts.errors import BackendUnavailable, LeaseConflict, TrustEnded
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.claiming.claim_result import ClaimResult
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.decision import Busy
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_worker.run.lease_keeper import KeptLease
from jobfleet_worker.run.storage_patience import StoragePatience
from jobfleet_worker.run.worker_lock import WorkerLock


class MessageClaims:
    """Claims on a lease of the job's own, or on one that this worker holds already."""

    def __init__(
        self,
        *,
        claimer: Claimer,
        seal: FleetSeal,
        worker_lock: WorkerLock | None,
        patience: StoragePatience,
    ) -> None:
        """Take the parts.

        Args:
            seal: while the fleet is sealed nothing is claimed.
            worker_lock: on which claims rest in scope ``worker``; ``None`` in the other scopes.
        """
        self._claimer = claimer
        self._seal = seal
        self._worker_lock = worker_lock
        self._patience = patience

    async def claim(
        self, message: JobMessage, fleet: KeptLease | None, *, is_alone: bool
    ) -> tuple[ClaimResult, KeptLease | None]:
        """Claim, again while storage does not answer, always with the same lease id.

        Args:
            fleet: the fleet's lease, in scope ``fleet``.
            is_alone: this worker runs nothing else, and starts nothing beside this claim.

        Returns:
            The result, and the lease that this worker held already, on which a claim may rest.

        Raises:
            BackendError: storage did not answer for the length of a lease, or refused.
        """
        # One id for all tries. If the answer to an acquire is lost, the next try finds its own
        # lease. With another id it would be refused, by a lease that no keeper renews.
        lease_id = new_lease_id()
        return await self._patience.repeat(
            message, lambda: self._try_to_claim(message, lease_id, fleet, is_alone=is_alone)
        )

    async def end_unstartable(self, message: JobMessage, lost_workers: int) -> ClaimResult | None:
        """End a job whose message cost too many workers, or conclude one that has ended.

        Call it before any code of the job's handler may run.

        Returns:
            ``None``: claim the job as always.

        Raises:
            BackendError: storage did not answer for the length of a lease, or refused.
        """
        if not lost_workers:
            return None

        async def end() -> ClaimResult | None:
            await self._seal.check()
            return await self._claimer.unstartable.end(message, lost_workers)

        return await self._patience.repeat(message, end)

    async def _try_to_claim(
        self, message: JobMessage, lease_id: str, fleet: KeptLease | None, *, is_alone: bool
    ) -> tuple[ClaimResult, KeptLease | None]:
        await self._seal.check()
        lasting = fleet
        if fleet is None and self._worker_lock is not None:
            lasting = await self._worker_lock.current()
        try:
            result = await self._claimer.claim(
                message, lease_id=lease_id, lasting=lasting, is_alone=is_alone
            )
        except (TrustEnded, LeaseConflict) as error:
            if fleet is not None and fleet.lost_reason is not None:
                return Busy(fleet.lock, None), lasting
            raise BackendUnavailable(str(error)) from error
        return result, lasting
