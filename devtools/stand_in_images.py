"""`python -m devtools.stand_in_images`: images for a machine that reaches no image registry.

Debian 13 has Python, RabbitMQ, PostgreSQL and Node.js; Azurite comes from npm. debootstrap puts
them into folders, and the Docker engine imports these under the names of the Dockerfile and of
docker-compose.yml. An image that the engine holds already stays as it is. This takes root,
debootstrap, `npm ci` in this folder, 2 GB of disk and some minutes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

_ROOT = Path(__file__).parents[1]
_RELEASE = "trixie"
_FILES = Path(__file__).parent / "stand_ins"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The machine's own: behind a proxy, builds trust what the machine trusts."""


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """How an image is made.

    Attributes:
        packages: of Debian 13.
        changes: instructions of a Dockerfile, as ``docker import`` takes them.
    """

    packages: tuple[str, ...]
    changes: tuple[str, ...] = ()


_PYTHON = StandIn(
    packages=("python3", "python3-venv"),
    changes=(f"ENV PIP_CERT={_CERTIFICATES}", 'CMD ["python"]'),
)
_RABBITMQ = StandIn(
    packages=("rabbitmq-server",),
    changes=('CMD ["/usr/local/bin/start-rabbitmq"]', "VOLUME /var/lib/rabbitmq"),
)
_POSTGRES = StandIn(packages=("postgresql",), changes=('CMD ["/usr/local/bin/start-postgres"]',))
_AZURITE = StandIn(packages=("nodejs", "netcat-openbsd"))
_BY_NAME = {"python": _PYTHON, "rabbitmq": _RABBITMQ, "postgres": _POSTGRES, "azurite": _AZURITE}


def main() -> int:
    """Make the images that the engine lacks."""
    missing = [image for image in base_images() if not _is_held(image)]
    if not missing:
        return 0
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("needs root and debootstrap: sudo apt-get install debootstrap", file=sys.stderr)
        return 2
    for image in missing:
        print(f"making {image}", file=sys.stderr)
        _make(image)
    return 0


def base_images() -> list[str]:
    """Return the names of the images that our files take from a registry."""
    compose = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
    named = {each["image"] for each in compose["services"].values() if "image" in each}
    built = re.findall(r"^FROM (\S+:\S+)", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return sorted(named | set(built))


def stand_in_of(image: str) -> StandIn:
    """Return how the image with this name is made."""
    return _BY_NAME[_name_of(image)]


def _name_of(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[0]


def _make(image: str) -> None:
    name, stand_in = _name_of(image), stand_in_of(image)
    with tempfile.TemporaryDirectory(prefix="jobfleet-image-") as folder:
        system = Path(folder)
        _install(system, ("ca-certificates", *stand_in.packages))
        _prepare(name, system)
        _import(system, image, stand_in.changes)


def _install(system: Path, packages: Sequence[str]) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", _RELEASE]
    subprocess.run([*command, str(system)], stdout=sys.stderr, check=True)
    if _CERTIFICATES.exists():
        shutil.copy(_CERTIFICATES, system / _CERTIFICATES.relative_to("/"))


def _prepare(name: str, system: Path) -> None:
    """Put in what Debian's packages lack of the image with that name."""
    programs = system / "usr" / "local" / "bin"
    for script in _FILES.glob(f"*-{name}"):
        shutil.copy(script, programs)
    if name == "python":
        (programs / "python").symlink_to("/usr/bin/python3")
    if name == "azurite":
        modules = system / "opt" / "azurite" / "node_modules"
        shutil.copytree((_ROOT / "node_modules").resolve(), modules, symlinks=True)
        (programs / "azurite").symlink_to("/opt/azurite/node_modules/.bin/azurite")
    if name == "rabbitmq":
        # As in the image: guest may come from other containers, and its pages are served.
        (system / "etc/rabbitmq/rabbitmq.conf").write_text("loopback_users.guest = false\n")
        (system / "etc/rabbitmq/enabled_plugins").write_text("[rabbitmq_management].\n")


def _import(system: Path, image: str, changes: Sequence[str]) -> None:
    options = [part for change in changes for part in ("--change", change)]
    packed = subprocess.Popen(
        ["tar", "--create", "--numeric-owner", f"--directory={system}", "."], stdout=subprocess.PIPE
    )
    subprocess.run(
        ["docker", "import", *options, "-", image],
        stdin=packed.stdout,
        stdout=sys.stderr,
        check=True,
    )
    if packed.wait() != 0:
        message = f"tar failed on the files of {image}"
        raise RuntimeError(message)


def _is_held(image: str) -> bool:
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
