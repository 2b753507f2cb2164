"""A lease store that tells how each request was answered."""

from __future__ import annotations

from collections.abc import Awaitable

from jobfleet_contracts.errors import BackendError, LeaseConflict, LockMissing
from jobfleet_contracts.ports import LeaseStore, RenewalLeases
from jobfleet_worker.metrics.port import Metrics


class CountedLeases:
    """Stands before a lease store, changes nothing."""

    def __init__(self, *, leases: LeaseStore, metrics: Metrics) -> None:
        self._leases = leases
        self._metrics = metrics

    async def create(self, lock: str) -> None:
        await self._counted("create", self._leases.create(lock))

    async def acquire(
        self, lock: str, lease_id: str, seconds: float, *, create: bool = False
    ) -> None:
        request = self._leases.acquire(lock, lease_id, seconds, create=create)
        await self._counted("acquire", request)

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        await self._counted("renew", self._leases.renew(lock, lease_id, seconds))

    async def release(self, lock: str, lease_id: str) -> None:
        await self._counted("release", self._leases.release(lock, lease_id))

    async def delete(self, lock: str, lease_id: str) -> None:
        await self._counted("delete", self._leases.delete(lock, lease_id))

    async def is_leased(self, lock: str) -> bool:
        """A question, not an operation on a lease: not counted."""
        return await self._leases.is_leased(lock)

    async def _counted(self, operation: str, request: Awaitable[None]) -> None:
        await _counted(self._metrics, operation, request)


class CountedRenewals:
    """The same before the leases of the renewal thread, which writes a note when it must."""

    def __init__(self, *, leases: RenewalLeases, metrics: Metrics) -> None:
        self.write_note = leases.write_note
        self._leases = leases
        self._metrics = metrics

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        await _counted(self._metrics, "renew", self._leases.renew(lock, lease_id, seconds))


async def _counted(metrics: Metrics, operation: str, request: Awaitable[None]) -> None:
    try:
        await request
    except BackendError as error:
        metrics.lease_asked(operation, _result_of(error))
        raise
    metrics.lease_asked(operation, "ok")


def _result_of(error: BackendError) -> str:
    match error:
        case LeaseConflict():
            return "conflict"
        case LockMissing():
            return "missing"
        case _:
            return "unavailable"
