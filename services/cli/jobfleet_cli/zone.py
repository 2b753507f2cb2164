"""Times as commands show them: in one zone, which they name."""

from __future__ import annotations

from datetime import datetime

from jobfleet_contracts.codec import parse_time


def zone_name() -> str:
    """Return the name of this machine's time zone, as ``CET`` or ``UTC``."""
    return datetime.now().astimezone().tzname() or "local"


def local_time(moment: datetime | str | None, *, milliseconds: bool = False) -> str:
    """Return a time, or its text in JSON, in this machine's zone; empty for ``None``."""
    if moment is None:
        return ""
    if isinstance(moment, str):
        moment = parse_time(moment)
    text = f"{moment.astimezone():%Y-%m-%d %H:%M:%S.%f}"
    return text[:-3] if milliseconds else text[:-7]
