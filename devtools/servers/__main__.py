"""`python -m devtools.servers up|down|env`: data on stdout, progress on stderr."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from devtools.servers.choice import (
    choose_postgres,
    choose_rabbitmq,
    choose_storage,
    servers_of,
)
from devtools.servers.errors import ServerError, ServerMissingError
from devtools.servers.kinds import DevelopmentServer

_MISSING = 2
_UNREACHABLE = 3


def main() -> int:
    arguments = _parser().parse_args()
    try:
        _COMMANDS[arguments.command](arguments.folder)
    except ServerMissingError as missing:
        print(missing, file=sys.stderr)
        return _MISSING
    except ServerError as error:
        print(error, file=sys.stderr)
        return _UNREACHABLE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devtools.servers",
        description="RabbitMQ, Azurite and PostgreSQL for development: from the environment, "
        "else Docker Compose, else binaries on this machine, on private ports in a private folder.",
    )
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("--folder", type=Path, default=Path(".servers"), help="ports, data, logs")
    return parser


def _up(folder: Path) -> None:
    for server in _chosen(folder):
        server.start()
        print(f"ready: {server.origin}", file=sys.stderr)
    _env(folder)


def _down(folder: Path) -> None:
    for server in servers_of(folder):
        server.stop()
        print(f"stopped: {server.origin}", file=sys.stderr)


def _env(folder: Path) -> None:
    """Only what a shell does not have yet: the password of a user's own server is not printed."""
    for server in _chosen(folder):
        if server.address not in os.environ.values():
            print(f"export {server.variable}={shlex.quote(server.address)}")


def _chosen(folder: Path) -> tuple[DevelopmentServer, ...]:
    return choose_rabbitmq(folder), choose_storage(folder), choose_postgres(folder)


_COMMANDS = {"up": _up, "down": _down, "env": _env}


if __name__ == "__main__":
    sys.exit(main())
