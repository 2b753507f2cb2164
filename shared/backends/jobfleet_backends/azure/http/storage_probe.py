"""Whether the storage can be reached, and read and written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.blob_container import BlobContainer
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendError, BackendForbidden

PROBE_SECONDS = 5.0
_PROBE_KEY = "probe"


class StorageProbe:
    """Deletes something that does not exist: that needs the right to write, and leaves nothing."""

    def __init__(self, *, table: EntityTable, trail: EntityTable, container: BlobContainer) -> None:
        self._table = table
        self._trail = trail
        self._container = container

    async def tables(self) -> Probe:
        """Try the index table."""
        return await _probe(
            "tables", self._table.address, self._table.delete("probe.table", _PROBE_KEY, _PROBE_KEY)
        )

    async def trail(self) -> Probe:
        """Read the audit trail, without which no job is accepted and none is run."""
        return await _probe(
            "trail", self._trail.address, self._trail.get("probe.trail", _PROBE_KEY, _PROBE_KEY)
        )

    async def blobs(self) -> Probe:
        """Try the container of the locks."""
        return await _probe("blobs", self._container.address, self._delete_blob())

    async def _delete_blob(self) -> None:
        try:
            await self._container.delete("probe.blob", _PROBE_KEY)
        except StorageRefused as refusal:
            if not refusal.is_missing:
                raise


async def _probe(part: str, address: str, question: Awaitable[object]) -> Probe:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await question
    except BackendForbidden as error:
        remedy = "correct the credentials, or give this identity the role that is named"
        return Probe(part, address, ok=False, detail=str(error), remedy=remedy)
    except (BackendError, TimeoutError) as error:
        detail = str(error) or f"no answer within {PROBE_SECONDS:g} s"
        remedy = "start the storage, or correct JOBFLEET_STORAGE_CONNECTION_STRING or _ACCOUNT"
        return Probe(part, address, ok=False, detail=detail, remedy=remedy)
    return Probe(part, address, ok=True, detail="can be reached and used")
