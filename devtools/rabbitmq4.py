"""`python -m devtools.rabbitmq4`: RabbitMQ 4 on a machine whose own packages have an older one.

Debian 13 has RabbitMQ 4 and the Erlang that it needs. They are put into a folder of their own with
debootstrap, once, and are run there with chroot: this takes root, 700 MB of disk and some minutes.
Prints the folder with the programs, for `JOBFLEET_TEST_RABBITMQ_FOLDER`.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_RELEASE = "trixie"
_SYSTEM = _ROOT / ".servers" / "debian-13"
_PROGRAMS = _ROOT / ".servers" / "rabbitmq-4"
_PLACES = {
    "rabbitmq-server": "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "rabbitmqctl": "/usr/lib/rabbitmq/bin/rabbitmqctl",
    "epmd": "/usr/bin/epmd",
}
# The mounts are in the program's own namespace: no other process sees them, and they end with it.
_WRAPPER = """\
#!/bin/sh
exec unshare --mount sh -c 'set -e
system="$1"; program="$2"; shift 2
for folder in /proc /dev {shared}; do
    mkdir -p "$system$folder"
    mount --rbind "$folder" "$system$folder"
done
exec chroot "$system" "$program" "$@"' sh {system} {program} "$@"
"""


def main() -> int:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("needs root and debootstrap: sudo apt-get install debootstrap", file=sys.stderr)
        return 2
    _install()
    _write_wrappers()
    print(_PROGRAMS)
    return 0


def _install() -> None:
    done = _SYSTEM / "installed"
    if done.exists():
        return
    shutil.rmtree(_SYSTEM, ignore_errors=True)
    _SYSTEM.parent.mkdir(exist_ok=True)
    command = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", _RELEASE]
    subprocess.run([*command, str(_SYSTEM)], stdout=sys.stderr, check=True)
    done.touch()


def _write_wrappers() -> None:
    """The folders of servers under test have the same paths inside."""
    shared = [str(_ROOT), tempfile.gettempdir()]
    _PROGRAMS.mkdir(exist_ok=True)
    for name, place in _PLACES.items():
        text = _WRAPPER.format(
            shared=" ".join(f'"{folder}"' for folder in shared),
            system=shlex.quote(str(_SYSTEM)),
            program=shlex.quote(place),
        )
        file = _PROGRAMS / name
        file.write_text(text)
        file.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
