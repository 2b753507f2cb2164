"""Claims in one transaction, as on backends where locks and trail share a database."""

from __future__ import annotations

from jobfleet_contracts.event import Event
from tests.simulation.fake_leases import LockContainer
from tests.simulation.fake_trail import TrailTable
from tests.simulation.wire import Wire


class FakeJobClaims:
    """The port, as one process uses it."""

    def __init__(self, *, trail: TrailTable, locks: LockContainer, wire: Wire) -> None:
        self._trail = trail
        self._locks = locks
        self._wire = wire

    async def write(self, lock: str, lease_id: str, seconds: float, event: Event) -> None:
        """Lease the lock, and insert the event under that lease."""

        def act() -> None:
            self.lease(lock, lease_id, seconds)
            # Here and not where it is sent: the lease comes with the row.
            self._trail.sent([event])
            self._trail.insert([event])
            self._trail.sign([event], self._wire.process)

        await self._wire.write("claims.write", act, about=event.job_id[-4:])

    def lease(self, lock: str, lease_id: str, seconds: float) -> None:
        """Lease the lock, which may be missing."""
        self._locks.create(lock)
        self._locks.acquire(lock, lease_id, seconds)
