"""Blob leases by Azure's documented state table, not by what its emulator lets pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jobfleet_contracts.errors import LeaseConflict, LockMissing
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.wire import Wire

SHORTEST, LONGEST = 15, 60
"""Seconds that Azure grants."""


@dataclass(slots=True)
class _Blob:
    """``lease_id`` stays after expiry: its holder may renew until another id leases the blob."""

    lease_id: str | None = None
    seconds: float = 0.0
    expires: float = 0.0
    note: dict[str, str] = field(default_factory=dict)
    changed: float = 0.0


class LockContainer:
    """All lock blobs.

    Attributes:
        on_note: told of each note that is written, with its lock.
    """

    def __init__(self, *, time: VirtualTime) -> None:
        self.on_note: Callable[[str, Mapping[str, str]], None] = lambda *_: None
        self._blobs: dict[str, _Blob] = {}
        self._time = time

    def create(self, lock: str) -> None:
        """Create with ``If-None-Match: *``."""
        self._blobs.setdefault(lock, _Blob(changed=self._time.now))

    def acquire(self, lock: str, lease_id: str, seconds: float) -> None:
        """Lease, or lease again under the same id."""
        if not SHORTEST <= seconds <= LONGEST:
            raise AssertionError(f"Azure refuses a lease of {seconds} s")
        blob = self._blob(lock)
        if self._is_leased(blob) and blob.lease_id != lease_id:
            raise LeaseConflict(f"{lock}: LeaseAlreadyPresent")
        blob.lease_id, blob.seconds = lease_id, seconds
        blob.expires = self._time.now + seconds

    def renew(self, lock: str, lease_id: str) -> None:
        """Start the time anew, also after expiry if the blob was not leased since."""
        blob = self._blob(lock)
        if blob.lease_id != lease_id:
            raise LeaseConflict(f"{lock}: LeaseIdMismatchWithLeaseOperation")
        blob.expires = self._time.now + blob.seconds

    def release(self, lock: str, lease_id: str) -> None:
        """Give up; the adapter is quiet about every refusal."""
        blob = self._blobs.get(lock)
        if blob is not None and blob.lease_id == lease_id:
            blob.lease_id = None

    def delete(self, lock: str, lease_id: str) -> None:
        """Remove under a live lease; the adapter is quiet about every refusal."""
        blob = self._blobs.get(lock)
        if blob is not None and blob.lease_id == lease_id and self._is_leased(blob):
            del self._blobs[lock]

    def is_leased(self, lock: str) -> bool:
        """Whether it is leased now."""
        blob = self._blobs.get(lock)
        return blob is not None and self._is_leased(blob)

    def leased(self, prefix: str = "") -> frozenset[str]:
        """Return what is leased now."""
        return frozenset(
            lock
            for lock, blob in self._blobs.items()
            if lock.startswith(prefix) and self._is_leased(blob)
        )

    def remove_idle(self, prefix: str, seconds: float) -> int:
        """Delete without a lease id; 412 where the blob is leased."""
        idle = [
            lock
            for lock, blob in self._blobs.items()
            if lock.startswith(prefix)
            and not self._is_leased(blob)
            and blob.changed < self._time.now - seconds
        ]
        for lock in idle:
            del self._blobs[lock]
        return len(idle)

    def read_note(self, lock: str) -> dict[str, str]:
        """Return the metadata."""
        return dict(self._blob(lock).note)

    def write_note(
        self,
        lock: str,
        lease_id: str,
        note: Mapping[str, str],
        replacing: Mapping[str, str] | None,
    ) -> None:
        """Replace the metadata; 412 without the live lease, and on another ETag."""
        blob = self._blob(lock)
        if blob.lease_id != lease_id or not self._is_leased(blob):
            raise LeaseConflict(f"{lock}: LeaseNotPresentWithBlobOperation")
        if replacing is not None and blob.note != replacing:
            raise LeaseConflict(f"{lock}: ConditionNotMet")
        blob.note, blob.changed = dict(note), self._time.now
        self.on_note(lock, note)

    def place_of(self, lock: str) -> object:
        """Return the blob, another one where the lock was deleted and made again."""
        return self._blobs.get(lock)

    def _blob(self, lock: str) -> _Blob:
        blob = self._blobs.get(lock)
        if blob is None:
            raise LockMissing(f"{lock}: BlobNotFound")
        return blob

    def _is_leased(self, blob: _Blob) -> bool:
        return blob.lease_id is not None and self._time.now < blob.expires


class FakeLeaseStore:
    """Both lock ports, as one thread of one process uses them."""

    def __init__(self, *, container: LockContainer, wire: Wire) -> None:
        self._container = container
        self._wire = wire

    async def create(self, lock: str) -> None:
        """Create the lock if it is not there."""
        await self._wire.write("lock.create", lambda: self._container.create(lock), about=lock)

    async def acquire(
        self, lock: str, lease_id: str, seconds: float, *, create: bool = False
    ) -> None:
        """Lease the lock."""
        if create:
            await self.create(lock)
        await self._wire.write(
            "lock.acquire", lambda: self._container.acquire(lock, lease_id, seconds), about=lock
        )

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:
        """Start the lease's time anew; its length is that of the acquire."""
        await self._wire.write(
            "lock.renew", lambda: self._container.renew(lock, lease_id), about=lock
        )

    async def release(self, lock: str, lease_id: str) -> None:
        """Give the lease up."""
        await self._wire.write(
            "lock.release", lambda: self._container.release(lock, lease_id), about=lock
        )

    async def delete(self, lock: str, lease_id: str) -> None:
        """Remove the lock under its lease."""
        await self._wire.write(
            "lock.delete", lambda: self._container.delete(lock, lease_id), about=lock
        )

    async def is_leased(self, lock: str) -> bool:
        """Whether the lock is leased now."""
        return await self._wire.read(
            "lock.is_leased", lambda: self._container.is_leased(lock), about=lock
        )

    async def read_note(self, lock: str) -> Mapping[str, str]:
        """Return the lock's note."""
        return await self._wire.read(
            "lock.read_note", lambda: self._container.read_note(lock), about=lock
        )

    async def write_note(
        self,
        lock: str,
        lease_id: str,
        note: Mapping[str, str],
        *,
        replacing: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the note under the lease."""
        await self._wire.write(
            "lock.write_note",
            lambda: self._container.write_note(lock, lease_id, note, replacing),
            about=f"{lock} {note}",
        )

    async def remove_idle(self, prefix: str, *, before: datetime) -> int:
        """Remove locks that are not leased and were last changed before then."""
        idle_for = (self._wire.process.clock.now() - before).total_seconds()
        return await self._wire.write(
            "lock.remove_idle", lambda: self._container.remove_idle(prefix, idle_for)
        )

    async def leased(self, prefix: str = "") -> frozenset[str]:
        """Return the names of locks that are leased now."""
        return await self._wire.read("lock.leased", lambda: self._container.leased(prefix))
