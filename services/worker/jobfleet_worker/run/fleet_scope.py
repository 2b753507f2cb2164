"""Scope ``fleet``: one lease for the whole fleet, taken before a message, one job at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from jobfleet_contracts.errors import BackendError, LeaseConflict, TrustEnded
from jobfleet_contracts.lease import FLEET_LOCK
from jobfleet_contracts.ports import Clock, JobConsumer, LeaseStore
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_worker.run.consumer import Consumer
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper

FLEET_LEASE_TAKEN = "fleet_lease.taken"
STAND_BY_SECONDS = 1.0
IDLE_WAIT = timedelta(seconds=2)
FLEET_LEASE_UNAVAILABLE = "fleet_lease.unavailable"
FLEET_TURN_ENDED = "fleet_turn.ended"
FLEET_LEASE_RELEASE_FAILED = "fleet_lease.release_failed"

_log = structlog.get_logger()


class FleetScope:
    """Takes the fleet's lease, works while there is work, and releases the lease when idle.

    The other workers stand by without taking messages, so a long queue causes no deferrals.
    """

    def __init__(
        self,
        *,
        claimer: Claimer,
        consumer: Consumer,
        source: JobConsumer,
        leases: LeaseStore,
        keeper: LeaseKeeper,
        clock: Clock,
    ) -> None:
        self._claimer = claimer
        self._consumer = consumer
        self._source = source
        self._leases = leases
        self._keeper = keeper
        self._clock = clock

    async def run(self) -> None:
        """Take the lease, work, release it and stand by, until cancelled between two jobs."""
        while not self._consumer.is_stopping:
            lease_id = new_lease_id()
            try:
                lease = await self._claimer.leases.acquire(FLEET_LOCK, lease_id)
            except LeaseConflict:
                await asyncio.sleep(STAND_BY_SECONDS)
                continue
            except BackendError as error:
                _log.warning(FLEET_LEASE_UNAVAILABLE, error=str(error))
                await asyncio.sleep(STAND_BY_SECONDS)
                continue
            kept = self._keeper.keep(lease)
            is_left_to_others = True
            try:
                is_left_to_others = await self._work(kept)
            except (BackendError, TrustEnded) as error:
                _log.warning(FLEET_TURN_ENDED, error=str(error))
            except Exception:  # noqa: BLE001 - what one job's trail holds must not end the worker
                _log.exception(FLEET_TURN_ENDED)
            finally:
                await asyncio.shield(self._release(kept))
            if is_left_to_others:  # another worker may reach, or run, what this one cannot
                await asyncio.sleep(2 * STAND_BY_SECONDS)

    async def _work(self, kept: KeptLease) -> bool:
        """Take jobs until there are none; returns whether one is left to another worker."""
        _log.info(FLEET_LEASE_TAKEN)
        await self._claimer.turns.fence_named(
            lock=FLEET_LOCK,
            trusted=kept.is_trusted,
        )
        while kept.lost_reason is None and not self._consumer.is_stopping:
            deliveries = await self._source.receive(1, IDLE_WAIT)
            if not deliveries:
                return False
            for delivery in deliveries:
                if await self._consumer.run_one(delivery, kept):
                    # Going on, it would keep the lease from every worker that has the handler.
                    return True
        return False

    async def _release(self, kept: KeptLease) -> None:
        """Give the lease up, but not before the job that rests on it has ended."""
        await self._consumer.finish()
        self._keeper.drop(kept)
        try:
            await self._leases.release(FLEET_LOCK, kept.lease.lease_id)
        except BackendError as error:
            _log.warning(FLEET_LEASE_RELEASE_FAILED, error=str(error))
