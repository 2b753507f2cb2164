"""Ports for private servers: chosen once per folder, kept over restarts."""

import json
import random
import socket
from pathlib import Path

# Below the ephemeral range: otherwise an outgoing connection may take the port of a server
# that a fault test has just killed and wants to start again at the same address.
_FIRST, _LAST = 20_000, 32_000
_HOST = "127.0.0.1"
_PORT_TAKEN = "no free port between 20000 and 32000 on 127.0.0.1"


def reserved_ports(file: Path, names: tuple[str, ...]) -> dict[str, int]:
    """The ports noted in `file`; without such a note, free ones, noted there."""
    if file.exists():
        noted: dict[str, int] = json.loads(file.read_text())
        return noted
    ports: dict[str, int] = {}
    for name in names:
        ports[name] = _free_port(taken=set(ports.values()))
    file.write_text(json.dumps(ports))
    return ports


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port(*, taken: set[int]) -> int:
    for _ in range(1_000):
        port = random.randint(_FIRST, _LAST)
        if port not in taken and is_free(port):
            return port
    raise OSError(_PORT_TAKEN)
