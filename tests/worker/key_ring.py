"""A payload codec of the tests: AES-GCM with named keys, the newest one for what is new."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEYS = {name: AESGCM(name.encode().ljust(32, b"\1")) for name in ("k1", "k2", "k3")}


class KeyRing:
    """Has some of the keys, and encodes by the last one."""

    digest_key = b"a key that never changes"

    def __init__(self, *names: str) -> None:
        self._names: Sequence[str] = names

    def encode(self, data: bytes) -> tuple[bytes, str]:
        nonce = os.urandom(_NONCE_BYTES)
        name = self._names[-1]
        return nonce + _KEYS[name].encrypt(nonce, data, None), name

    def decode(self, data: bytes, key_id: str) -> bytes:
        if key_id not in self._names:
            raise KeyError(key_id)
        return _KEYS[key_id].decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
