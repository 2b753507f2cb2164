"""``${secret:NAME}`` in headers: filled at call time, shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from yarl import URL

from jobfleet_worker.outbound.options import OutboundOptions
from jobfleet_worker.outbound.refusals import TargetForbidden
from jobfleet_worker.outbound.target_guard import is_among

_REFERENCE = re.compile(r"\$\{secret:([A-Za-z0-9_]{1,100})\}")


class SecretHeaders:
    """Knows the secrets of this worker, and which host each of them may be sent to."""

    def __init__(self, *, options: OutboundOptions) -> None:
        self._options = options

    def fill(self, headers: Mapping[str, str], url: URL) -> dict[str, str]:
        """Return the headers with values in place of references.

        Raises:
            TargetForbidden: a reference names no secret, or one that this host must not get.
        """
        return {name: self._fill(name, value, url) for name, value in headers.items()}

    def sendable_to(self, url: URL) -> frozenset[str]:
        """Return the values of the secrets that jobs may send to this address's host.

        Only these are removed from the host's answer. If another host's secret were removed too,
        the answer would tell its sender which guess of that secret is right.
        """
        secrets = self._options.secrets
        return frozenset(value for name, value in secrets.items() if self._is_for(name, url))

    def _is_for(self, secret: str, url: URL) -> bool:
        hosts = self._options.secret_hosts.get(secret)
        return is_among(url, self._options.allowed_hosts if hosts is None else hosts)

    def _fill(self, header: str, value: str, url: URL) -> str:
        for secret in _REFERENCE.findall(value):
            if (problem := self._problem(secret, url)) is not None:
                raise TargetForbidden(f"the header {header} needs {problem}")
        return _REFERENCE.sub(lambda match: self._options.secrets[match[1]], value)

    def _problem(self, secret: str, url: URL) -> str | None:
        """Return why this address gets no secret, ``None`` if it gets one."""
        variable = f"JOBFLEET_SECRET_{secret}"
        if secret not in self._options.secrets:
            return f"{variable}, which is not set"
        if not self._is_for(secret, url):
            is_listed = secret in self._options.secret_hosts
            lists = f"{variable}_HOSTS" if is_listed else "JOBFLEET_ALLOWED_HOSTS"
            return f"the secret {secret}, which is sent to hosts of {lists} only"
        if url.scheme != "https" and not self._options.allow_secrets_over_http:
            return (
                f"the secret {secret}, and secrets are sent over https only; set "
                "JOBFLEET_ALLOW_SECRETS_OVER_HTTP to true for http, where everybody on the way can "
                "read them"
            )
        return None
