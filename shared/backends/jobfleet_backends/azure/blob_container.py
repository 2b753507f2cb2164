"""One container: small blobs and their leases, created when it is missing and allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient, BlobLeaseClient, ContainerClient

from jobfleet_backends.azure.azure_errors import StorageRefused
from jobfleet_backends.azure.storage_calls import StorageCalls

LIST_PAGE = 5000
_CLIENTS_KEPT = 2048

_Answer = TypeVar("_Answer")


class BlobContainer:
    """Requests to one container; operations are names for the counter and for errors.

    Every refusal is raised as ``StorageRefused``: what it means is the port's business.
    """

    def __init__(self, *, client: ContainerClient, calls: StorageCalls) -> None:
        self._client = client
        self._calls = calls
        self._blobs: dict[str, BlobClient] = {}

    @property
    def address(self) -> str:
        """The service, without secrets."""
        return self._calls.address

    async def create(self, operation: str, name: str, body: bytes = b"") -> None:
        """Create a blob with ``If-None-Match: *``, so that one that is there stays as it is."""
        blob = self._blob(name)
        await self._send(
            operation, lambda: blob.upload_blob(body, length=len(body), overwrite=False)
        )

    async def acquire(self, operation: str, name: str, lease_id: str, seconds: int) -> None:
        """Lease a blob under an id of one's own."""
        lease = BlobLeaseClient(self._blob(name), lease_id=lease_id)
        await self._send(operation, lambda: lease.acquire(lease_duration=seconds))

    async def renew(self, operation: str, name: str, lease_id: str) -> None:
        """Start the lease's time anew."""
        lease = BlobLeaseClient(self._blob(name), lease_id=lease_id)
        await self._send(operation, lease.renew)

    async def release(self, operation: str, name: str, lease_id: str) -> None:
        """End the lease."""
        lease = BlobLeaseClient(self._blob(name), lease_id=lease_id)
        await self._send(operation, lease.release)

    async def delete(self, operation: str, name: str, lease_id: str | None = None) -> None:
        """Delete a blob, under its lease where it has one."""
        blob = self._blob(name)
        await self._send(operation, lambda: blob.delete_blob(lease=lease_id))
        self._blobs.pop(name, None)

    async def properties(self, operation: str, name: str) -> BlobProperties:
        """Return metadata and lease status."""
        return await self._read(operation, self._blob(name).get_blob_properties)

    async def describe(
        self,
        operation: str,
        name: str,
        metadata: Mapping[str, str],
        lease_id: str,
        *,
        etag: str | None = None,
    ) -> None:
        """Replace the metadata under a lease; with ``etag`` only where it is still the blob's."""
        blob = self._blob(name)
        unchanged: dict[str, Any] = {}
        if etag is not None:
            unchanged = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        await self._send(
            operation,
            lambda: blob.set_blob_metadata(dict(metadata), lease=lease_id, **unchanged),
        )

    async def download(self, operation: str, name: str) -> bytes:
        """Return a blob's body."""
        blob = self._blob(name)

        async def request() -> bytes:
            return await (await blob.download_blob()).readall()

        return await self._read(operation, request)

    async def listing(
        self, operation: str, *, prefix: str = ""
    ) -> AsyncIterator[list[BlobProperties]]:
        """Yield pages of up to 5,000 blobs in the order of their names."""
        following: str | None = None
        while True:
            request = partial(self._page, prefix, following)
            page, following = await self._read(operation, request)
            yield page
            if not following:
                return

    async def _page(
        self, prefix: str, following: str | None
    ) -> tuple[list[BlobProperties], str | None]:
        found = self._client.list_blobs(name_starts_with=prefix, results_per_page=LIST_PAGE)
        pages: Any = found.by_page(continuation_token=following)
        async for page in pages:
            return [blob async for blob in page], pages.continuation_token
        return [], None

    def _blob(self, name: str) -> BlobClient:
        """Clients are kept: making one costs a quarter of a request."""
        known = self._blobs.get(name)
        if known is None:
            if len(self._blobs) >= _CLIENTS_KEPT:
                self._blobs.pop(next(iter(self._blobs)))
            known = self._blobs[name] = self._client.get_blob_client(name)
        return known

    async def _send(self, operation: str, request: Callable[[], Awaitable[object]]) -> None:
        try:
            await self._calls.once(operation, request)
        except StorageRefused as refusal:
            if refusal.code != "ContainerNotFound":
                raise
            await self._create()
            await self._calls.once(operation, request)

    async def _read(self, operation: str, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            return await self._calls.reading(operation, request)
        except StorageRefused as refusal:
            if refusal.code != "ContainerNotFound":
                raise
            await self._create()
            return await self._calls.reading(operation, request)

    async def _create(self) -> None:
        try:
            await self._calls.once("container.create", self._client.create_container)
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise
