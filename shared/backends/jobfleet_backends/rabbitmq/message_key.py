"""The key under the fleet's own messages.

It stands in the storage, which a user of the broker alone cannot read. So a worker
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
_FRESH_SECONDS = 600.0

_log = structlog.get_logger()


class MessageKey:
    """Finds the key, and makes it if there is none.

    Args:
        store: where it is kept; without one, a key for this object alone.
    """

    def __init__(self, *, store: PayloadStore | None = None) -> None:
        self._store = store
        self._key = None if store is not None else secrets.token_bytes(_KEY_BYTES)
        self._look_at = 0.0
        self._turn = asyncio.Lock()

    async def find(self) -> bytes | None:
        """Return the key, ``None`` while the storage does not answer: all are foreign then.

        Asks for two seconds at most: every five seconds until it has found the key, then every ten
        minutes. So a fleet whose key was lost or replaced has one key again after that time.
        """
        if self._store is not None and self._is_look_due:
            async with self._turn:
                if self._is_look_due:
                    await self._look(self._store)
        return self._key

    @property
    def _is_look_due(self) -> bool:
        return asyncio.get_running_loop().time() >= self._look_at

    async def _look(self, store: PayloadStore) -> None:
        now = asyncio.get_running_loop().time()
        self._look_at = now + _AGAIN_SECONDS
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._read(store)
        except (BackendError, TimeoutError) as error:
            _log.warning(MESSAGE_KEY_UNKNOWN, error=str(error) or "no answer in time")
            return
        if found is None or len(found) != _KEY_BYTES:
            # Any publisher could sign with an empty key.
            self._key = None
            _log.warning(MESSAGE_KEY_UNKNOWN, error=f"{KEY_NAME} is not a key; remove this value")
            return
        self._key, self._look_at = found, now + _FRESH_SECONDS

    async def _read(self, store: PayloadStore) -> bytes | None:
        found = await store.get(KEY_NAME)
        if found is None:
            await store.put(KEY_NAME, self._key or secrets.token_bytes(_KEY_BYTES))
            found = await store.get(KEY_NAME)  # another process may have been first
        return found
