"""The key that a secret stands for, which signs callbacks."""

from __future__ import annotations

import base64
import binascii

MIN_KEY_BYTES = 16
"""Least length of a secret that signs: shorter ones can be guessed."""
_ENCODED_KEY = "whsec_"


def signing_key(secret: str) -> bytes:
    """Return the key that a secret stands for: its UTF-8 bytes, or decoded after ``whsec_``.

    Raises:
        ValueError: says what is wrong, never the secret.
    """
    key = secret.encode()
    if secret.startswith(_ENCODED_KEY):
        text = secret.removeprefix(_ENCODED_KEY).rstrip("=")
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"is not base64 after {_ENCODED_KEY}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(
            f"has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed, "
            "as `openssl rand -hex 32` makes them"
        )
    return key
