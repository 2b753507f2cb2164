"""One container: small blobs and their leases, created when it is missing and allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient, ContainerClient

from jobfleet_backends.azure.http.blob_writer import BlobWriter
from jobfleet_backends.azure.http.created_on_demand import CreatedOnDemand
from jobfleet_backends.azure.http.storage_calls import StorageCalls

LIST_PAGE = 5000


class BlobContainer:
    """Requests to one container; operations are names for the counter and for errors.

    Every refusal is raised as ``StorageRefused``: each port says what it means.
    """

    def __init__(self, *, client: ContainerClient, writer: BlobWriter, calls: StorageCalls) -> None:
        self._client = client
        self._writer = writer
        self._calls = calls
        self._requests = CreatedOnDemand(
            calls=calls,
            missing="ContainerNotFound",
            operation="container.create",
            create=client.create_container,
        )

    @property
    def address(self) -> str:
        """The service, without secrets."""
        return self._calls.address

    async def create(self, operation: str, name: str, body: bytes = b"") -> None:
        """Create a blob with ``If-None-Match: *``, so that one that is there stays as it is."""
        await self._requests.write(operation, lambda: self._writer.create(name, body))

    async def create_log(self, operation: str, name: str) -> None:
        """Create an empty append blob with ``If-None-Match: *``."""
        await self._requests.write(operation, lambda: self._writer.create_log(name))

    async def append(self, operation: str, name: str, position: int, body: bytes) -> None:
        """Append to an append blob that ends at this position, else it is refused with 412."""
        await self._requests.write(operation, lambda: self._writer.append(name, position, body))

    async def acquire(self, operation: str, name: str, lease_id: str, seconds: int) -> None:
        """Lease a blob under an id of one's own."""
        await self._requests.write(operation, lambda: self._writer.acquire(name, lease_id, seconds))

    async def renew(self, operation: str, name: str, lease_id: str) -> None:
        """Start the lease's time anew."""
        await self._requests.write(operation, lambda: self._writer.renew(name, lease_id))

    async def release(self, operation: str, name: str, lease_id: str) -> None:
        """End the lease."""
        await self._requests.write(operation, lambda: self._writer.release(name, lease_id))

    async def delete(self, operation: str, name: str, lease_id: str | None = None) -> None:
        """Delete a blob, under its lease if it has one."""
        await self._requests.write(operation, lambda: self._writer.delete(name, lease_id))

    async def properties(self, operation: str, name: str) -> BlobProperties:
        """Return metadata and lease status."""
        return await self._requests.read(operation, self._blob(name).get_blob_properties)

    async def describe(
        self,
        operation: str,
        name: str,
        metadata: Mapping[str, str],
        lease_id: str,
        *,
        etag: str | None = None,
    ) -> None:
        """Replace the metadata under a lease; with ``etag`` only if it is still the blob's."""
        blob = self._blob(name)
        unchanged: dict[str, Any] = {}
        if etag is not None:
            unchanged = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        await self._requests.write(
            operation,
            lambda: blob.set_blob_metadata(dict(metadata), lease=lease_id, **unchanged),
        )

    async def download(
        self, operation: str, name: str, *, start: int | None = None, limit: int | None = None
    ) -> bytes:
        """Return a blob's body, or ``limit`` bytes of it from ``start`` on.

        A start behind the end is refused with 416.
        """
        blob = self._blob(name)

        async def request() -> bytes:
            return await (await blob.download_blob(offset=start, length=limit)).readall()

        return await self._requests.read(operation, request)

    async def listing(
        self, operation: str, *, prefix: str = ""
    ) -> AsyncIterator[list[BlobProperties]]:
        """Yield pages of up to 5,000 blobs in the order of their names."""
        following: str | None = None
        while True:
            request = partial(self._page, prefix, following)
            page, following = await self._requests.read(operation, request)
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
        return self._client.get_blob_client(name)
