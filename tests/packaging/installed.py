"""Our distributions, built and installed into environments of their own, without a network."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_OURS = frozenset({"jobfleet", "jobfleet-client"})


@dataclass(frozen=True)
class Built:
    """The files of one release: a wheel and a source distribution of each distribution."""

    folder: Path

    def wheel(self, name: str) -> Path:
        """Return the wheel of a distribution."""
        [found] = self.folder.glob(f"{name.replace('-', '_')}-[0-9]*.whl")
        return found

    def sdist(self, name: str) -> Path:
        """Return the source distribution of a distribution."""
        [found] = self.folder.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz")
        return found


def build(source: Path, folder: Path, *targets: str) -> None:
    """Build what a release uploads from a folder with a pyproject.toml."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
        + [part for target in targets for part in ("-t", target)],
        cwd=source,
        env=os.environ | {"RELEASE_JOBFLEET": "1"},
        check=True,
        capture_output=True,
    )


def metadata(wheel: Path) -> Message:
    """Return the METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as held:
        [name] = [each for each in held.namelist() if each.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(held.read(name))


class Environment:
    """A virtual environment with our wheels, and of other packages exactly what they ask for."""

    def __init__(self, folder: Path, wheels: list[Path], *, extras: frozenset[str]) -> None:
        """Install the wheels; their requirements come from the environment of the tests."""
        self.folder = folder
        self.packages = _needed(wheels, extras)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        for each in self.packages:
            _borrow(distribution(each), self.site_packages)
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline"]
        subprocess.run(
            [*install, "--no-index", "--python", str(self.python), *map(str, wheels)], check=True
        )

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        return self.folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def _needed(wheels: list[Path], extras: frozenset[str]) -> set[str]:
    """Return the distributions that the wheels require on this machine, all the way down."""
    asked = [
        (Requirement(each), extras)
        for wheel in wheels
        for each in metadata(wheel).get_all("Requires-Dist", [])
    ]
    seen: set[tuple[str, frozenset[str]]] = set()
    while asked:
        requirement, wanted = asked.pop()
        if not _applies(requirement, wanted):
            continue
        name, parts = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name in _OURS or (name, parts) in seen:
            continue
        seen.add((name, parts))
        below = distribution(name).requires or []
        asked += [(Requirement(each), parts) for each in below]
    return {name for name, _ in seen}


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras))


def _borrow(package: Distribution, site_packages: Path) -> None:
    """Link a package of the tests' environment; programs in its bin are left out."""
    home = Path(str(package.locate_file("")))
    for top in {Path(str(file)).parts[0] for file in package.files or []} - {"..", "__pycache__"}:
        if top.endswith(".dist-info"):  # uv does not follow a link here
            shutil.copytree(home / top, site_packages / top)
        elif not (site_packages / top).exists():
            (site_packages / top).symlink_to(home / top)
