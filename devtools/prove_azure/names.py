"""Names of all that a run makes: they hold the run's mark, by which its cleaning finds them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

_MARK, _NAMESPACES = "PROVE_MARK", "PROVE_NAMESPACES"


def new_mark() -> str:
    """Return a mark that no other run has."""
    return f"prove{uuid.uuid4().hex[:8]}"


def environment(mark: str, noted: Path) -> Mapping[str, str]:
    """Return the variables under which tests take names with the mark.

    Args:
        noted: file for the namespaces: a broker does not list what it holds over AMQP.
    """
    return {_MARK: mark, _NAMESPACES: str(noted)}


def own_name() -> str:
    """Return letters and digits for one test's names; they begin with the run's mark, if any."""
    return os.environ.get(_MARK, "") + uuid.uuid4().hex[:12]


def own_namespace(prefix: str) -> str:
    """Return a namespace for the broker, and note it for the run's cleaning."""
    namespace = f"{prefix}-{own_name()}"
    if noted := os.environ.get(_NAMESPACES):
        with Path(noted).open("a") as file:
            file.write(f"{namespace}\n")
    return namespace
