"""The storage account and the broker that the user has named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.settings import is_loopback_host

STORAGE, BROKER = "JOBFLEET_STORAGE_CONNECTION_STRING", "JOBFLEET_RABBITMQ_URL"


class NotNamedError(Exception):
    """The environment does not name both servers."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to run. Both texts hold secrets: print ``account`` and ``broker_host`` only."""

    storage: str
    broker: str

    @property
    def account(self) -> str:
        return StorageAddress.parse(self.storage).account

    @property
    def broker_host(self) -> str:
        return urlsplit(self.broker).hostname or ""

    @property
    def is_emulator(self) -> bool:
        """Whether the storage is on this machine, so that nothing is billed and less is shown."""
        host = urlsplit(StorageAddress.parse(self.storage).tables).hostname or ""
        return is_loopback_host(host)


def named_target(environment: Mapping[str, str] = os.environ) -> Target:
    """Return what the environment names.

    Raises:
        NotNamedError: one of the two is missing; the text says which.
    """
    missing = [name for name in (STORAGE, BROKER) if not environment.get(name)]
    if missing:
        raise NotNamedError(f"name the servers to run on: {' and '.join(missing)} not set")
    return Target(environment[STORAGE], environment[BROKER])
