"""Which secret belongs to which third party: chosen by name or host, else the fleet's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from jobfleet_contracts.callback_target import CallbackTarget, is_host_among
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.signing_keys import SigningKeys

NAME_FIELD = "callbackSecret"
URL_FIELD = "targetUrl"
_NO_KEYS = SigningKeys(())


class TargetKeys:
    """The keys of each target, and those of all others."""

    def __init__(
        self,
        secrets: Sequence[str],
        targets: Mapping[str, CallbackTarget],
        *,
        make: Callable[[Sequence[str]], SigningKeys] = SigningKeys,
    ) -> None:
        """Take the fleet's secrets and the targets', by name.

        Raises:
            SettingsError: a secret is too short, or not base64 after its prefix.
        """
        self._default = make(secrets)
        self._targets = targets
        self._named = {name: make(target.secrets) for name, target in targets.items()}
        every = [*secrets, *(each for target in targets.values() for each in target.secrets)]
        self.all = make(every)

    @property
    def has_targets(self) -> bool:
        """Whether any target has a secret of its own."""
        return bool(self._named)

    def named(self, name: str) -> SigningKeys:
        """Return the keys of a target; none verify and sign if it is unknown."""
        return self._named.get(name, _NO_KEYS)

    def of_url(self, url: str) -> SigningKeys:
        """Return the keys of the target with the URL's host, else the fleet's."""
        host = _host_of(url)
        for name, target in self._targets.items():
            if host and is_host_among(host, target.hosts):
                return self._named[name]
        return self._default

    def of_request(self, request: JobRequest) -> SigningKeys:
        """Return the keys of the third party that a job asks."""
        payload = request.payload if isinstance(request.payload, Mapping) else {}
        name, url = payload.get(NAME_FIELD), payload.get(URL_FIELD)
        if isinstance(name, str):
            return self.named(name)
        return self.of_url(url) if isinstance(url, str) else self._default


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
