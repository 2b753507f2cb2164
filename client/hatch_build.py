"""Takes the client's packages from the repository around this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientPackages(BuildHookInterface):  # type: ignore[type-arg]
    """Adds each package to a build; an unpacked source distribution holds them already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name what a build holds beside this folder; an editable install needs nothing."""
        if version == "editable":
            return
        for package in self.config["packages"]:
            source = Path(self.root).parent / package
            if source.exists():
                build_data["force_include"][str(source)] = source.name
