"""Whether an address, or the ``Host`` of a request, is this machine's."""

from __future__ import annotations

import re
from ipaddress import ip_address

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    name = host.lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_own_host(host: str) -> bool:
    """Whether all of a ``Host`` header is a name or address of this machine, port or not."""
    found = _HOST.fullmatch(host)
    return found is not None and is_loopback(found["name"])
