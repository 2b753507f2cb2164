"""How many limits and schedules a fleet may have: workers read all of them at each look."""

from __future__ import annotations

from collections.abc import Iterable

from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.retry import retry_forever

MOST_NAMES = 1000


def standing(heads: Iterable[ControlEntry]) -> set[str]:
    """Return the names of the newest entries that are not removed."""
    return {head.name for head in heads if not head.state.get("removed", False)}


async def check_room(log: ControlLog, subject: ControlSubject, name: str, most: int | None) -> None:
    """Refuse a new name if there are ``most`` others; storage in trouble is waited for.

    Several new names at the same moment may all pass: the bound keeps lists short, and no more.

    Args:
        most: ``None``: any number, and the log is not read.

    Raises:
        InvalidRequest: there are ``most`` others already.
    """
    if most is not None:
        heads = await retry_forever(lambda: log.heads(subject))
        check_most(standing(heads), subject, name, most)


def check_most(names: set[str], subject: ControlSubject, name: str, most: int | None) -> None:
    """Refuse a new name if there are ``most`` others; raises as :func:`check_room`."""
    if most is not None and name not in names and len(names) >= most:
        raise InvalidRequest(
            f"name: there are {len(names):,} {subject}s; at most {most:,} are allowed; remove one "
            "that is not needed",
            field="name",
        )
