"""Values too large for a row, one blob each."""

from __future__ import annotations

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.blob_container import BlobContainer


class AzurePayloadStore:
    """Blobs that are written once; names begin with the job id."""

    def __init__(self, *, container: BlobContainer) -> None:
        self._container = container

    async def put(self, name: str, body: bytes) -> None:
        """Store it; one that is there has the same body, since names are used once."""
        try:
            await self._container.create("payload.put", name, body)
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise

    async def get(self, name: str) -> bytes | None:
        """Return it, ``None`` if missing."""
        try:
            return await self._container.download("payload.get", name)
        except StorageRefused as refusal:
            if refusal.is_missing:
                return None
            raise

    async def delete_job(self, job_id: str) -> None:
        """Remove all blobs whose names begin with the job id."""
        async for page in self._container.listing("payload.list", prefix=job_id):
            for blob in page:
                await self._delete(blob.name)

    async def _delete(self, name: str) -> None:
        try:
            await self._container.delete("payload.delete", name)
        except StorageRefused as refusal:
            if not refusal.is_missing:
                raise
