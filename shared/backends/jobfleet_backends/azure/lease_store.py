"""Leases on blobs, and the notes kept in their metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote

from azure.storage.blob import BlobProperties

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.blob_container import BlobContainer
from jobfleet_contracts.errors import LeaseConflict, LockMissing

SHORTEST, LONGEST = 15, 60
"""Seconds that Azure grants; a shorter wish gets the shortest."""


class AzureLeaseStore:
    """One blob per lock. A repeated acquire with its id is the same acquire, by Azure's rule."""

    def __init__(self, *, container: BlobContainer) -> None:
        self._container = container

    async def create(self, lock: str) -> None:
        """Create the blob; one that is there, leased or not, keeps its metadata."""
        try:
            await self._container.create("lease.create", lock)
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise

    async def acquire(
        self, lock: str, lease_id: str, seconds: float, *, create: bool = False
    ) -> None:
        """Lease the blob under this id."""
        if create:
            await self.create(lock)
        length = min(max(math.ceil(seconds), SHORTEST), LONGEST)
        try:
            await self._container.acquire("lease.acquire", lock, lease_id, length)
        except StorageRefused as refusal:
            raise _error_of(refusal, lock) from refusal

    async def renew(self, lock: str, lease_id: str, seconds: float) -> None:  # noqa: ARG002
        """Start the lease's time anew; Azure keeps the length it was acquired with."""
        try:
            await self._container.renew("lease.renew", lock, lease_id)
        except StorageRefused as refusal:
            raise _error_of(refusal, lock) from refusal

    async def release(self, lock: str, lease_id: str) -> None:
        """Give the lease up."""
        try:
            await self._container.release("lease.release", lock, lease_id)
        except StorageRefused as refusal:
            _forgive(refusal)

    async def delete(self, lock: str, lease_id: str) -> None:
        """Remove the blob under its lease."""
        try:
            await self._container.delete("lease.delete", lock, lease_id)
        except StorageRefused as refusal:
            _forgive(refusal)

    async def is_leased(self, lock: str) -> bool:
        """Ask the blob's properties."""
        try:
            return _is_leased(await self._container.properties("lease.look", lock))
        except StorageRefused as refusal:
            if refusal.is_missing:
                return False
            raise

    async def read_note(self, lock: str) -> Mapping[str, str]:
        """Return the blob's metadata."""
        return _note(await self._properties(lock))

    async def write_note(
        self,
        lock: str,
        lease_id: str,
        note: Mapping[str, str],
        *,
        replacing: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the blob's metadata under the lease; headers hold ASCII, so values are quoted.

        Operations on a lease leave the ETag as it is, so it tells one note from the next.
        """
        etag = None
        if replacing is not None:
            blob = await self._properties(lock)
            if _note(blob) != replacing:
                raise LeaseConflict(f"the lock {lock} has another note by now")
            etag = blob.etag
        quoted = {name: quote(value, safe="/:;,.@+=") for name, value in note.items()}
        try:
            await self._container.describe("note.write", lock, quoted, lease_id, etag=etag)
        except StorageRefused as refusal:
            raise _error_of(refusal, lock) from refusal

    async def _properties(self, lock: str) -> BlobProperties:
        try:
            return await self._container.properties("note.read", lock)
        except StorageRefused as refusal:
            raise _error_of(refusal, lock) from refusal

    async def leased(self, prefix: str = "") -> frozenset[str]:
        """List the container, or what begins with ``prefix``."""
        names: set[str] = set()
        async for page in self._container.listing("lease.list", prefix=prefix):
            names.update(blob.name for blob in page if _is_leased(blob))
        return frozenset(names)

    async def remove_idle(self, prefix: str, *, before: datetime) -> int:
        """Delete blobs that are not leased and were last written before then.

        Operations on a lease change no ``Last-Modified``. The delete names no lease, so Azure
        refuses it (412) if the blob was leased since the listing.
        """
        removed = 0
        async for page in self._container.listing("lease.list", prefix=prefix):
            for blob in page:
                if not _is_leased(blob) and blob.last_modified < before:
                    removed += await self._remove_unleased(blob.name)
        return removed

    async def _remove_unleased(self, lock: str) -> bool:
        try:
            await self._container.delete("lease.remove", lock)
        except StorageRefused as refusal:
            _forgive(refusal)
            return False
        return True


def _note(blob: BlobProperties) -> dict[str, str]:
    return {name: unquote(value) for name, value in (blob.metadata or {}).items()}


def _is_leased(blob: BlobProperties) -> bool:
    return blob.lease.status == "locked"


def _error_of(refusal: StorageRefused, lock: str) -> Exception:
    if refusal.is_missing:
        return LockMissing(f"the lock {lock} does not exist")
    if refusal.is_conflict:
        return LeaseConflict(f"the lock {lock} is not leased under this id ({refusal.code})")
    return refusal


def _forgive(refusal: StorageRefused) -> None:
    """After a lost reply one's own release or delete is refused: it was done."""
    if not (refusal.is_conflict or refusal.is_missing):
        raise refusal
