"""Requests to one table or container, which is created when it is missing and allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.storage_calls import StorageCalls

_Answer = TypeVar("_Answer")


class CreatedOnDemand:
    """Sends requests, and once more after it has created what they are sent to.

    Args:
        missing: code of the refusal that says that the table or container is missing.
        operation: name of the creation, for the counter and for errors.
        create: makes the table or container.
    """

    def __init__(
        self,
        *,
        calls: StorageCalls,
        missing: str,
        operation: str,
        create: Callable[[], Awaitable[object]],
    ) -> None:
        self._calls = calls
        self._missing = missing
        self._operation = operation
        self._create = create

    async def write(self, operation: str, request: Callable[[], Awaitable[object]]) -> None:
        """Send a request that must not be repeated by itself, as ``StorageCalls.once``."""
        try:
            await self._calls.once(operation, request)
        except StorageRefused as refusal:
            await self._create_after(refusal)
            await self._calls.once(operation, request)

    async def read(self, operation: str, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Send a request that only reads, as ``StorageCalls.reading``."""
        try:
            return await self._calls.reading(operation, request)
        except StorageRefused as refusal:
            await self._create_after(refusal)
            return await self._calls.reading(operation, request)

    async def _create_after(self, refusal: StorageRefused) -> None:
        if refusal.code != self._missing:
            raise refusal
        try:
            await self._calls.once(self._operation, self._create)
        except StorageRefused as other:
            if not other.is_conflict:  # another process has created it
                raise
