"""Keys for scripts and people; only their hashes are known here."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

from jobfleet_contracts.errors import SettingsError
from jobfleet_dashboard.security.principal import Principal, Role

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,100}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = "jf_"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One line of ``JOBFLEET_API_KEYS``."""

    name: str
    role: Role
    digest: str = field(repr=False)

    @classmethod
    def parse(cls, line: str) -> ApiKey:
        """Read ``name:role:sha256hex``.

        Raises:
            SettingsError: says which part does not fit, without the hash.
        """
        name, _, rest = line.partition(":")
        role, _, digest = rest.partition(":")
        if not _NAME.fullmatch(name):
            raise SettingsError(
                "JOBFLEET_API_KEYS: each key is name:role:sha256hex; make one with "
                "`jobfleet keys new NAME ROLE`"
            )
        if role not in set(Role):
            roles = ", ".join(Role)
            raise SettingsError(f"JOBFLEET_API_KEYS: key {name} has no role of {roles}")
        if not _DIGEST.fullmatch(digest.lower()):
            raise SettingsError(f"JOBFLEET_API_KEYS: key {name} has no SHA-256 in hex")
        return cls(name, Role(role), digest.lower())

    @property
    def principal(self) -> Principal:
        """Who uses this key."""
        return Principal(self.name, self.role)


class ApiKeys:
    """All configured keys."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._keys = tuple(ApiKey.parse(line) for line in lines)
        names = [key.name for key in self._keys]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"JOBFLEET_API_KEYS: two keys are named {name}")

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> ApiKey | None:
        """Return the key, in the same time whether and wherever it is found."""
        digest = sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        found = None
        for key in self._keys:
            if compare_digest(key.digest, digest):
                found = key
        return found

    def named(self, name: str) -> ApiKey | None:
        """Return the key of this name, ``None`` if it was taken away."""
        return next((key for key in self._keys if key.name == name), None)


def new_key(name: str, role: str) -> tuple[str, str]:
    """Return a fresh secret key and its line for ``JOBFLEET_API_KEYS``.

    Raises:
        SettingsError: name or role do not fit.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name}:{role}:{sha256(secret.encode()).hexdigest()}"
    ApiKey.parse(line)
    return secret, line
