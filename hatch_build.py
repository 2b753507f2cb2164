"""Adds the client to the dependencies: from a clone its folder, in a release its version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ClientDependency(MetadataHookInterface):
    """Lets ``pip install .`` work where no index has the client in this version.

    A release names the client by its version: ``make dist`` sets ``RELEASE_JOBFLEET``, and an
    unpacked source distribution has a ``PKG-INFO``. An index refuses a wheel that names a folder.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Write the dependencies: those that the configuration lists, and the client."""
        root = Path(self.root)
        if os.environ.get("RELEASE_JOBFLEET") or (root / "PKG-INFO").exists():
            where = f"=={metadata['version']}"
        else:
            where = f" @ {(root / 'client').as_uri()}"
        client = f"jobfleet-client[azure,rabbitmq]{where}"
        metadata["dependencies"] = [client, *self.config["dependencies"]]
