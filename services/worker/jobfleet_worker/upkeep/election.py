"""Elect the one worker of the fleet that sweeps and fires schedules: the lease's holder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from jobfleet_contracts.errors import BackendError, LeaseConflict
from jobfleet_contracts.lease import RESCUER_LOCK
from jobfleet_contracts.ports import LeaseStore
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper

LEADER_ELECTED = "leader.elected"
DUTY_FAILED = "leader.duty_failed"
RELUCTANT_TERM = 30.0
RELEASE_FAILED = "leader.release_failed"

_log = structlog.get_logger()

Duty = Callable[[], Awaitable[float]]
"""One round of what the leader does; returns the seconds until the next round.

Being leader only saves work. A duty must be safe beside another leader's, since a lease can be
lost without its holder knowing.
"""


class Election:
    """Competes for the lease ``fleet/rescuer`` and does the duties while holding it.

    A duty that raises gives the lease up, so that another worker tries: one that cannot reach the
    broker, for instance, must not keep the others from rescuing jobs. It then stands after them.

    Attributes:
        leads: whether this worker holds the lease, as far as it knows.

    Args:
        is_reluctant: whether another worker should rather lead, as where this one's clock is wrong.
            It then stands after the others, and serves for 30 s at a time: without any other it
            still does what it can.
    """

    def __init__(
        self,
        *,
        duties: Sequence[Duty],
        claimer: Claimer,
        keeper: LeaseKeeper,
        leases: LeaseStore,
        pause_seconds: float,
        is_reluctant: Callable[[], bool] = lambda: False,
    ) -> None:
        self._duties = duties
        self._claimer = claimer
        self._keeper = keeper
        self._leases = leases
        self._pause_seconds = pause_seconds
        self._is_reluctant = is_reluctant
        self.leads = False

    async def run(self) -> None:
        """Stand for election until cancelled."""
        while True:
            has_failed = await self._stand()
            if has_failed or self._is_reluctant():
                await asyncio.sleep(2 * self._pause_seconds)
            await asyncio.sleep(self._pause_seconds)

    async def _stand(self) -> bool:
        """Lead if no other worker does; return whether a duty failed."""
        lease_id = new_lease_id()
        try:
            lease = await self._claimer.leases.acquire(RESCUER_LOCK, lease_id)
        except LeaseConflict:
            return False
        except BackendError as error:
            _log.debug(DUTY_FAILED, error=str(error))
            return False
        kept = self._keeper.keep(lease)
        self.leads = True
        _log.info(LEADER_ELECTED)
        try:
            await self._serve(kept)
            return False
        except BackendError as error:
            _log.warning(DUTY_FAILED, error=str(error))
            return True
        except Exception:  # noqa: BLE001 - what the index holds must not end one worker after another
            _log.exception(DUTY_FAILED)
            return True
        finally:
            self.leads = False
            self._keeper.drop(kept)
            await asyncio.shield(self._resign(lease_id))

    async def _serve(self, kept: KeptLease) -> None:
        rounds = [asyncio.create_task(_repeat(duty, kept), name="duty") for duty in self._duties]
        try:
            done: set[asyncio.Task[None]] = set()
            while not done:
                done, _ = await asyncio.wait(
                    rounds, timeout=RELUCTANT_TERM, return_when=asyncio.FIRST_COMPLETED
                )
                if self._is_reluctant():
                    break
            for task in done:
                await task
        finally:
            for task in rounds:
                task.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)

    async def _resign(self, lease_id: str) -> None:
        try:
            await self._leases.release(RESCUER_LOCK, lease_id)
        except BackendError as error:
            _log.debug(RELEASE_FAILED, error=str(error))


async def _repeat(duty: Duty, kept: KeptLease) -> None:
    while kept.lost_reason is None:
        seconds = await duty()
        await asyncio.sleep(seconds)
