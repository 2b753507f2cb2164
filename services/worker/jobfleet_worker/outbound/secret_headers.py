"""``${secret:NAME}`` in headers: filled at call time, shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jobfleet_contracts.credentials import HIDDEN
from jobfleet_worker.outbound.refusals import TargetForbidden

_REFERENCE = re.compile(r"\$\{secret:([A-Za-z0-9_]{1,100})\}")
_SHORTEST = 4
"""Shorter values are not looked for in answers: they would blank out ordinary text."""


class SecretHeaders:
    """Knows the secrets of this worker."""

    def __init__(self, *, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        told = sorted((v for v in secrets.values() if len(v) >= _SHORTEST), key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, told))) if told else None

    def fill(self, headers: Mapping[str, str], *, listed: bool) -> dict[str, str]:
        """Return the headers with values in place of references.

        Args:
            listed: the host stands on the allow list, so it may be told secrets.

        Raises:
            TargetForbidden: a reference to a host that may not be told, or to no secret.
        """
        return {name: self._fill(name, value, listed) for name, value in headers.items()}

    def names_any(self, value: str) -> bool:
        """Whether a header's value refers to a secret."""
        return _REFERENCE.search(value) is not None

    def redact(self, text: str) -> str:
        """Return a text of a stranger without the secrets that it may repeat."""
        return text if self._values is None else self._values.sub(HIDDEN, text)

    def _fill(self, name: str, value: str, listed: bool) -> str:
        wanted = _REFERENCE.findall(value)
        if not wanted:
            return value
        if not listed:
            raise TargetForbidden(
                f"header {name}: secrets are sent to hosts of JOBFLEET_ALLOWED_HOSTS only"
            )
        missing = [each for each in wanted if each not in self._secrets]
        if missing:
            raise TargetForbidden(f"header {name}: JOBFLEET_SECRET_{missing[0]} is not set")
        return _REFERENCE.sub(lambda match: self._secrets[match[1]], value)
