"""What handlers log: one append blob per job and epoch, beside the large values."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.blob_container import BlobContainer
from jobfleet_contracts.job_logs import LogSize

_FOLDER = "logs"
_BEHIND_THE_END = 416


class AzureJobLogs:
    """Blobs ``logs/<job id>/<epoch>``; a rule of the account's life cycle can name the folder."""

    def __init__(self, *, container: BlobContainer) -> None:
        self._container = container

    async def append(self, job_id: str, epoch: int, position: int, body: bytes) -> bool:
        """Append under the condition that the blob ends at this position."""
        name = _name(job_id, epoch)
        if position == 0:
            await self._begin(name)
        try:
            await self._container.append("log.append", name, position, body)
        except StorageRefused as refusal:
            if refusal.is_missing:
                return False
            if not refusal.is_conflict:
                raise
            # The answer to an earlier try of the same bytes may be lost.
            return await self._size(name) == position + len(body)
        return True

    async def sizes(self, job_id: str) -> Sequence[LogSize]:
        """List the job's blobs."""
        found = [
            LogSize(int(blob.name.rpartition("/")[2]), blob.size)
            async for page in self._container.listing("log.list", prefix=_folder(job_id))
            for blob in page
            if blob.size
        ]
        return sorted(found, key=lambda each: each.epoch)

    async def read(self, job_id: str, epoch: int, *, start: int = 0, limit: int) -> bytes:
        """Download a range."""
        try:
            return await self._container.download(
                "log.read", _name(job_id, epoch), start=start, limit=limit
            )
        except StorageRefused as refusal:
            if refusal.is_missing or refusal.status == _BEHIND_THE_END:
                return b""
            raise

    async def remove(self, job_id: str) -> None:
        """Delete the job's blobs."""
        async for page in self._container.listing("log.list", prefix=_folder(job_id)):
            for blob in page:
                await self._delete(blob.name)

    async def _begin(self, name: str) -> None:
        try:
            await self._container.create_log("log.begin", name)
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise

    async def _size(self, name: str) -> int | None:
        try:
            return (await self._container.properties("log.size", name)).size
        except StorageRefused as refusal:
            if refusal.is_missing:
                return None
            raise

    async def _delete(self, name: str) -> None:
        try:
            await self._container.delete("log.delete", name)
        except StorageRefused as refusal:
            if not refusal.is_missing:
                raise


def _folder(job_id: str) -> str:
    return f"{_FOLDER}/{job_id}/"


def _name(job_id: str, epoch: int) -> str:
    return f"{_folder(job_id)}{epoch}"
