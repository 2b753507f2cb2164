"""Signatures under callbacks, ours and other people's: Standard Webhooks, and a plain HMAC.

Third parties sign what they send us with the secret itself. What we send is signed with a key
derived from it, so that nothing that we sign can be sent back to us as a third party's result.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from standardwebhooks import Webhook, WebhookVerificationError

from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.signing_key import signing_key

PLAIN_HEADER = "X-HMAC-SHA256"
DELIVERY_LABEL = b"jobfleet delivery v1"
_ADDRESS_LABEL = b"jobfleet callback address v1"
_PREFIX = "whsec_"
_STAMP = re.compile("[0-9]{1,12}")
_DIGEST = re.compile("[0-9a-fA-F]{64}")
_TOLERANCE_SECONDS = 300
_MOST_CLAIMS = 20


class SigningKeys:
    """The callback secrets: the first one signs, all verify, so that they can be rotated.

    A key is the secret's UTF-8 bytes; with prefix ``whsec_``, the decoded base64.

    Raises:
        SettingsError: a secret is under 16 bytes, or no base64 after its prefix; never shows it.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = keys_of(secrets)

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

    def address_token(self, job_id: str, incarnation: int) -> str:
        """Return what one incarnation's callback address carries; it cannot be computed elsewhere.

        A signed body says nothing of incarnations. Without the token, one that was sent for the
        first could be sent again to end the second. Without a secret it is empty.
        """
        return _token(self._keys[0], job_id, incarnation) if self._keys else ""

    def is_address(self, token: str, job_id: str, incarnation: int) -> bool:
        """Whether the token is this incarnation's, made with one of the secrets."""
        claimed = token.encode("utf-8", "surrogateescape")
        matches = [
            hmac.compare_digest(_token(key, job_id, incarnation).encode(), claimed)
            for key in self._keys
        ]
        return any(matches)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a body is signed with one of the secrets, in either way.

        Whatever is malformed is not signed. Takes the same time wherever a signature differs.

        Args:
            headers: names in any case.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        if PLAIN_HEADER.lower() in lowered:
            return self._is_plain(body, lowered[PLAIN_HEADER.lower()])
        return self._is_standard(body, lowered)

    def streamed(self, headers: Mapping[str, str], *, at: datetime) -> StreamedSignature:
        """Return a check that is fed a body piece by piece, for one too large to keep.

        Args:
            headers: names in any case.
            at: now; a Standard Webhooks signature older than five minutes counts as none.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        plain = lowered.get(PLAIN_HEADER.lower())
        if plain is not None:
            macs = [hmac.new(key, digestmod="sha256") for key in self._keys]
            return StreamedSignature(macs, [bytes.fromhex(plain)] if _is_hex(plain) else [])
        stamp = lowered.get("webhook-timestamp", "")
        start = f"{lowered.get('webhook-id', '')}.{stamp}.".encode("utf-8", "surrogateescape")
        macs = [hmac.new(key, start, digestmod="sha256") for key in self._keys]
        fresh = _STAMP.fullmatch(stamp) and abs(at.timestamp() - int(stamp)) <= _TOLERANCE_SECONDS
        return StreamedSignature(macs, _claims(lowered) if fresh else [])

    def _is_plain(self, body: bytes, signature: str) -> bool:
        claimed = signature.strip().lower().encode("utf-8", "surrogateescape")
        matches = [
            hmac.compare_digest(hmac.digest(key, body, "sha256").hex().encode(), claimed)
            for key in self._keys
        ]
        return any(matches)

    def _is_standard(self, body: bytes, lowered: Mapping[str, str]) -> bool:
        return any(_verified(key, body, lowered) for key in self._keys)


class StreamedSignature:
    """Checks the signature of a body that is not kept.

    Args:
        macs: one of each secret, with what precedes the body.
        claimed: what the sender says that one of them comes to.
    """

    def __init__(self, macs: Sequence[hmac.HMAC], claimed: Sequence[bytes]) -> None:
        self._macs = macs
        self._claimed = claimed

    def update(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        for mac in self._macs:
            mac.update(piece)

    def is_valid(self) -> bool:
        """Whether the pieces so far, together, are signed with one of the secrets."""
        found = [mac.digest() for mac in self._macs]
        matches = [hmac.compare_digest(one, claim) for one in found for claim in self._claimed]
        return any(matches)


def _is_hex(text: str) -> bool:
    return _DIGEST.fullmatch(text.strip()) is not None


def _claims(lowered: Mapping[str, str]) -> list[bytes]:
    """Return the signatures of version 1 of a Standard Webhooks header that are base64."""
    found = []
    for signature in lowered.get("webhook-signature", "").split(" ")[:_MOST_CLAIMS]:
        version, _, encoded = signature.partition(",")
        try:
            claim = base64.b64decode(encoded.encode("ascii"), validate=True)
        except ValueError:
            continue
        if version == "v1":
            found.append(claim)
    return found


def delivery_keys(secrets: Sequence[str]) -> SigningKeys:
    """Return the keys that sign final results: one derived from each secret.

    Raises:
        SettingsError: as :class:`SigningKeys` does.
    """
    return SigningKeys([delivery_secret(key) for key in keys_of(secrets)])


def delivery_secret(key: bytes) -> str:
    """Return what a receiver of final results checks signatures with, as ``whsec_…``."""
    derived = base64.b64encode(derived_key(key, DELIVERY_LABEL)).decode()
    return f"{_PREFIX}{derived}"


def derived_key(key: bytes, label: bytes) -> bytes:
    """Derive 32 bytes: HKDF (RFC 5869) with SHA-256, no salt, and the label as its info."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, label + b"\x01", "sha256")


def keys_of(secrets: Sequence[str]) -> list[bytes]:
    """Return the bytes that each secret stands for.

    Raises:
        SettingsError: a secret is empty, or no base64 after its prefix; never shows it.
    """
    return [_key(secret, place) for place, secret in enumerate(secrets, start=1)]


def _token(key: bytes, job_id: str, incarnation: int) -> str:
    place = f"{job_id}/{incarnation}".encode()
    mac = hmac.digest(derived_key(key, _ADDRESS_LABEL), place, "sha256")
    return base64.urlsafe_b64encode(mac[:18]).decode()


def _verified(key: bytes, body: bytes, lowered: Mapping[str, str]) -> bool:
    """The library raises much more than its own error on garbage: all of it is a bad signature."""
    try:
        Webhook(key).verify(body, dict(lowered), json_parse=False)
    except (WebhookVerificationError, ValueError, TypeError, OverflowError, OSError):
        return False
    return True


def _key(secret: str, place: int) -> bytes:
    try:
        return signing_key(secret)
    except ValueError as error:
        raise SettingsError(f"JOBFLEET_CALLBACK_SECRETS: secret {place} {error}") from None
