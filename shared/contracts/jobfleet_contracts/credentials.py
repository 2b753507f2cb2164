"""Credentials that a submitter wrote into a job: needed to run it, shown to nobody.

Better is ``${secret:NAME}``, which never reaches the job at all.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
SENSITIVE_HEADERS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
    }
)
"""Lower-case names of headers that carry credentials."""
_REFERENCE = "${secret:"
_CREDENTIAL_HEADER = re.compile(
    r"auth|cookie|credential|hmac|jwt|passw|secret|signature|token|(?<!idempotency-)key"
)
MIN_KEY_BYTES = 16
"""Of a secret that signs: shorter ones can be guessed."""
_ENCODED_KEY = "whsec_"


def is_credential_header(name: str) -> bool:
    """Whether the value of a header of this name is taken for a credential."""
    lower = name.lower()
    not_secret = lower in ("x-fencing-token", "authority")
    return not not_secret and _CREDENTIAL_HEADER.search(lower) is not None


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
            raise ValueError(f"is no base64 after {_ENCODED_KEY}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(
            f"has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed, "
            "as `openssl rand -hex 32` makes them"
        )
    return key


def without_credentials(payload: Any) -> Any:
    """Return a payload as it may be shown: sensitive headers hidden, references left."""
    if not isinstance(payload, Mapping) or not isinstance(payload.get("headers"), Mapping):
        return payload
    headers = {name: _shown(name, value) for name, value in payload["headers"].items()}
    return {**payload, "headers": headers}


def request_without_credentials(data: dict[str, Any]) -> dict[str, Any]:
    """Return an event's data as they may be shown; only those of event 1 hold a request."""
    request = data.get("request")
    if not isinstance(request, Mapping) or "payload" not in request:
        return data
    return {**data, "request": {**request, "payload": without_credentials(request["payload"])}}


def _shown(name: str, value: Any) -> Any:
    if str(name).lower() not in SENSITIVE_HEADERS:
        return value
    return value if isinstance(value, str) and _REFERENCE in value else HIDDEN
