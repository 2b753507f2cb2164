"""`python -m devtools.lock_check`: the locks fit both pyproject.toml. Asks no network."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

_ROOT = Path(__file__).parents[1]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)")
_ASKED_FOR_BY_US = re.compile(r"\s+#\s+(?:via )?jobfleet(?:-client$|(?:-client)? \()")
_REMEDY = "run `make lock`"


def main() -> int:
    project, client = _read("pyproject.toml"), _read("client/pyproject.toml")
    publisher = client["project"]["dependencies"]
    extras = client["project"]["optional-dependencies"]
    servers = [*extras["azure"], *extras["rabbitmq"]]
    # Beside the client, which hatch_build.py adds to this list.
    services = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    runtime = [*services, *publisher, *servers]
    groups = project["dependency-groups"]
    tools = [need for need in groups["dev"] if isinstance(need, str)] + groups["docs"]
    optional = project["project"]["optional-dependencies"]
    faults = [*lock_faults("requirements.lock", [*runtime, *optional["postgres"]])]
    optional = [need for needs in optional.values() for need in needs]
    faults += lock_faults(
        "requirements-client.lock", [*publisher, *servers, *extras["postgres"], *extras["console"]]
    )
    faults += lock_faults("requirements-dev.lock", [*runtime, *optional, *groups["build"], *tools])
    faults += lock_faults("requirements-build.lock", groups["build"])
    if groups["build"] != project["build-system"]["requires"]:
        faults.append("pyproject.toml: group build differs from build-system.requires")
    for fault in faults:
        print(f"{fault}; {_REMEDY}", file=sys.stderr)
    return 1 if faults else 0


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_ROOT / name).read_text())


def lock_faults(name: str, declared: list[str]) -> list[str]:
    text = (_ROOT / name).read_text()
    wanted = {canonicalize_name(need.name): need for need in map(Requirement, declared)}
    pins = pins_of(text)
    faults = [f"{name}: {need} is not locked" for key, need in wanted.items() if key not in pins]
    faults += [
        f"{name}: {key} {version} does not fit {wanted[key]}"
        for key, versions in pins.items()
        for version in versions
        if key in wanted and not wanted[key].specifier.contains(version, prereleases=True)
    ]
    faults += [f"{name}: {key} is no longer asked for" for key in asked_for(text) - wanted.keys()]
    faults += [f"{name}: holds an address" for address in ("://", "--index") if address in text]
    return faults


def pins_of(text: str) -> dict[NormalizedName, list[str]]:
    """Several versions of one name stand for several platforms."""
    pins: dict[NormalizedName, list[str]] = {}
    for match in filter(None, map(_PIN.match, text.splitlines())):
        pins.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return pins


def asked_for(text: str) -> set[NormalizedName]:
    names: set[NormalizedName] = set()
    current = canonicalize_name("")
    for line in text.splitlines():
        pin = _PIN.match(line)
        current = canonicalize_name(pin[1]) if pin else current
        if _ASKED_FOR_BY_US.match(line):
            names.add(current)
    return names


if __name__ == "__main__":
    sys.exit(main())
