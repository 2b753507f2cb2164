"""The key under the fleet's own messages.

It stands in the storage, which somebody who may only write to the broker cannot read. So a worker
can tell the fleet's messages from foreign ones, and trusts the hints of its own alone.
"""

from __future__ import annotations

import asyncio
import secrets

import structlog

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import PayloadStore

KEY_NAME = "fleet/message-key"
MESSAGE_KEY_UNKNOWN = "message_key.unknown"
_KEY_BYTES = 32
_SECONDS = 2.0
_AGAIN_SECONDS = 5.0

_log = structlog.get_logger()


class MessageKey:
    """Finds the key, and makes it where there is none.

    Args:
        store: where it is kept; without one, a key for this object alone.
    """

    def __init__(self, *, store: PayloadStore | None = None) -> None:
        self._store = store
        self._key = None if store is not None else secrets.token_bytes(_KEY_BYTES)
        self._again_at = 0.0
        self._turn = asyncio.Lock()

    async def find(self) -> bytes | None:
        """Return the key, ``None`` while the storage does not answer: all are foreign then.

        Asks at most every five seconds, for two at most, until it has found it.
        """
        if self._key is None and self._store is not None:
            async with self._turn:
                await self._look(self._store)
        return self._key

    async def _look(self, store: PayloadStore) -> None:
        now = asyncio.get_running_loop().time
        if self._key is not None or now() < self._again_at:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                self._key = await self._read(store)
        except (BackendError, TimeoutError) as error:
            self._again_at = now() + _AGAIN_SECONDS
            _log.warning(MESSAGE_KEY_UNKNOWN, error=str(error) or "no answer in time")

    async def _read(self, store: PayloadStore) -> bytes | None:
        found = await store.get(KEY_NAME)
        if found is None:
            await store.put(KEY_NAME, secrets.token_bytes(_KEY_BYTES))
            found = await store.get(KEY_NAME)  # another process may have been first
        return found
