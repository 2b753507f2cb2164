"""The highest protocol level that the fleet has used, in a log of its own."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.protocol_level import FIRST_LEVEL
from jobfleet_protocol.control.control_writer import (
    ControlDraft,
    ControlWriter,
    newest_readable,
)

NAME = "protocol"


@dataclass(frozen=True, slots=True)
class UsedLevel:
    """A level, and why it was used."""

    level: int = FIRST_LEVEL
    reason: str = ""


class UsedLevels:
    """Reads and raises the level; it never falls."""

    def __init__(self, *, log: ControlLog, clock: Clock) -> None:
        self._control_log = log
        self._writer = ControlWriter(log=log, clock=clock, passes_unreadable=True)

    async def read(self) -> UsedLevel:
        """Return the highest level that was used, the first one if none was noted.

        Raises:
            BackendError: the log does not answer.
        """
        return _used(await newest_readable(self._control_log, ControlSubject.FLEET, NAME))

    async def raise_to(self, level: int, *, by: str, reason: str) -> None:
        """Note that the fleet uses this level; waits for an outage to end."""

        def decide(newest: ControlEntry | None) -> ControlDraft | None:
            if _used(newest).level >= level:
                return None
            return ControlDraft(kind=ControlKind.SET, by=by, reason=reason, state={"level": level})

        await self._writer.append(ControlSubject.FLEET, NAME, decide)


def _used(newest: ControlEntry | None) -> UsedLevel:
    if newest is None:
        return UsedLevel()
    level = newest.state.get("level")
    return UsedLevel(level if isinstance(level, int) else FIRST_LEVEL, newest.reason)
