"""A third party that has callback secrets of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """Secrets that only one target knows.

    Attributes:
        secrets: the first one signs, all verify.
        hosts: the target's hosts, as ``JOBFLEET_ALLOWED_HOSTS`` names them; none: it is chosen by
            name only.
    """

    secrets: tuple[str, ...] = field(repr=False)
    hosts: tuple[str, ...] = ()


def is_host_among(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host is one of these; ``*.example.org`` is every name below it."""
    wanted = host.lower().rstrip(".")
    names = (name.lower().rstrip(".") for name in hosts)
    return any(wanted.endswith(n[1:]) if n.startswith("*.") else wanted == n for n in names)
