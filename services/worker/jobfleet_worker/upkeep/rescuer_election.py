"""Which worker of the fleet sweeps: the one that holds the lease ``fleet/rescuer``."""

from __future__ import annotations

import asyncio

import structlog

from jobfleet_contracts.errors import BackendError, LeaseConflict
from jobfleet_contracts.lease import RESCUER_LOCK
from jobfleet_contracts.ports import LeaseStore
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper
from jobfleet_worker.upkeep.rescuer import Rescuer
from jobfleet_worker.upkeep.retention import Retention

RESCUER_ELECTED = "rescuer.elected"
SWEEP_FAILED = "sweep.failed"

_log = structlog.get_logger()


class RescuerElection:
    """Competes for the lease and sweeps while holding it; gives it up after a failed sweep.

    Args:
        retention: removes old histories after each sweep; ``None``: nothing is ever removed.
    """

    def __init__(
        self,
        *,
        rescuer: Rescuer,
        claimer: Claimer,
        keeper: LeaseKeeper,
        leases: LeaseStore,
        pause_seconds: float,
        retention: Retention | None = None,
    ) -> None:
        self._rescuer = rescuer
        self._claimer = claimer
        self._keeper = keeper
        self._leases = leases
        self._pause_seconds = pause_seconds
        self._retention = retention

    async def run(self) -> None:
        """Stand for election until cancelled."""
        while True:
            await self._stand()
            await asyncio.sleep(self._pause_seconds)

    async def _stand(self) -> None:
        lease_id = new_lease_id()
        try:
            lease = await self._claimer.leases.acquire(RESCUER_LOCK, lease_id)
        except LeaseConflict:
            return
        except BackendError as error:
            _log.debug(SWEEP_FAILED, error=str(error))
            return
        kept = self._keeper.keep(lease)
        _log.info(RESCUER_ELECTED)
        try:
            await self._serve(kept)
        except BackendError as error:
            _log.warning(SWEEP_FAILED, error=str(error))
        except Exception:  # noqa: BLE001 - what the index holds must not end one worker after another
            _log.exception(SWEEP_FAILED)
        finally:
            self._keeper.drop(kept)
            await asyncio.shield(self._resign(lease_id))

    async def _serve(self, kept: KeptLease) -> None:
        while kept.lost_reason is None:
            await self._rescuer.sweep()
            if self._retention is not None:
                await self._retention.sweep()
            await asyncio.sleep(self._pause_seconds)

    async def _resign(self, lease_id: str) -> None:
        try:
            await self._leases.release(RESCUER_LOCK, lease_id)
        except BackendError as error:
            _log.debug("rescuer.release_failed", error=str(error))
