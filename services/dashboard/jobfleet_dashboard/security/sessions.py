"""A browser's login: a signed cookie that names the key it was opened with."""

from __future__ import annotations

import secrets
from hmac import compare_digest

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from jobfleet_dashboard.security.api_keys import ApiKey, ApiKeys

COOKIE = "jobfleet_session"
MAX_AGE_SECONDS = 12 * 3600
_DIGEST_CHARACTERS = 16


class Sessions:
    """Opens and reads sessions; a key that is removed or replaced ends its sessions."""

    def __init__(self, *, secret: str | None, keys: ApiKeys) -> None:
        self._keys = keys
        self._serializer = URLSafeTimedSerializer(
            secret or secrets.token_hex(32), salt="jobfleet.session"
        )

    def open(self, response: Response, key: ApiKey, *, secure: bool) -> None:
        """Set the cookie; ``secure`` where the request came over https."""
        token = self._serializer.dumps([key.name, key.digest[:_DIGEST_CHARACTERS]])
        response.set_cookie(
            COOKIE, token, max_age=MAX_AGE_SECONDS, httponly=True, samesite="lax", secure=secure
        )

    def close(self, response: Response) -> None:
        """Take the cookie away."""
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")

    def read(self, token: str) -> ApiKey | None:
        """Return the key that the cookie stands for, ``None`` if it is forged or too old."""
        try:
            name, digest = self._serializer.loads(token, max_age=MAX_AGE_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        key = self._keys.named(str(name))
        if key is None or not compare_digest(key.digest[:_DIGEST_CHARACTERS], str(digest)):
            return None
        return key
