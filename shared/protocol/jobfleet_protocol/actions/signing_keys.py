"""Signatures under callbacks, ours and other people's: Standard Webhooks, and a plain HMAC."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

from standardwebhooks import Webhook, WebhookVerificationError

from jobfleet_contracts.credentials import signing_key
from jobfleet_contracts.errors import SettingsError

PLAIN_HEADER = "X-HMAC-SHA256"


class SigningKeys:
    """The callback secrets: the first one signs, all verify, so that they can be rotated.

    A key is the secret's UTF-8 bytes; with prefix ``whsec_``, the decoded base64.

    Raises:
        SettingsError: a secret is under 16 bytes, or no base64 after its prefix; never shows it.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [_key(secret, place) for place, secret in enumerate(secrets, start=1)]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def sign(self, body: bytes, *, message_id: str, at: datetime) -> dict[str, str]:
        """Return the headers that go with a body; without a secret they hold no signature.

        Args:
            message_id: the same for each delivery of one message; holds no full stop.
            at: now; receivers refuse what is older than five minutes.
        """
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp()))}
        if not self._keys:
            return headers
        key = self._keys[0]
        signed = Webhook(key).sign(message_id, at, body.decode())
        return headers | {
            "webhook-signature": signed,
            PLAIN_HEADER: hmac.digest(key, body, "sha256").hex(),
        }

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a body is signed with one of the secrets, in either way.

        Whatever is malformed is not signed. Takes the same time wherever a signature differs.

        Args:
            headers: names in any case.
        """
        told = {name.lower(): value for name, value in headers.items()}
        if PLAIN_HEADER.lower() in told:
            return self._is_plain(body, told[PLAIN_HEADER.lower()])
        return self._is_standard(body, told)

    def _is_plain(self, body: bytes, said: str) -> bool:
        claimed = said.strip().lower().encode("utf-8", "surrogateescape")
        matches = [
            hmac.compare_digest(hmac.digest(key, body, "sha256").hex().encode(), claimed)
            for key in self._keys
        ]
        return any(matches)

    def _is_standard(self, body: bytes, told: Mapping[str, str]) -> bool:
        return any(_verified(key, body, told) for key in self._keys)


def _verified(key: bytes, body: bytes, told: Mapping[str, str]) -> bool:
    """The library raises much more than its own error on garbage: all of it is a bad signature."""
    try:
        Webhook(key).verify(body, dict(told), json_parse=False)
    except (WebhookVerificationError, ValueError, TypeError, OverflowError, OSError):
        return False
    return True


def _key(secret: str, place: int) -> bytes:
    try:
        return signing_key(secret)
    except ValueError as error:
        raise SettingsError(f"JOBFLEET_CALLBACK_SECRETS: secret {place} {error}") from None
