"""What to install for an optional part of ``jobfleet-client`` whose library is not there."""

from __future__ import annotations


def remedy(part: str, extras: str, error: ModuleNotFoundError) -> str:
    """Return one line that names the missing package and the command that installs it.

    Args:
        part: what the caller asked for.
        extras: what of ``jobfleet-client`` brings its packages, comma-separated.

    Raises:
        ModuleNotFoundError: ``error`` itself, if a module of ours is missing: no extra helps.
    """
    if error.name is None or error.name.startswith("jobfleet"):
        raise error
    return (
        f"{part} needs the package {error.name}, which is not installed; "
        f"run: pip install 'jobfleet-client[{extras}]'"
    )
