"""The seal of a fleet that is moved: how a process knows that there is none.

A mover seals the fleet and copies the trail :data:`SETTLED_SECONDS` later. No process may
acknowledge anything that the copy lacks. So each writer of an event looks for the seal *after* the
event stands, and relies on an earlier look only while that is younger than :data:`KNOWN_SECONDS`.
Then the event stood before the seal was older than that, and the copy, which began later, has it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from jobfleet_contracts.codec import format_time, parse_time
from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import BackendError, BackendForbidden, FleetSealed
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.retry import retry_forever

SEAL_UNKNOWN = "seal.unknown"

SEAL = "seal"
"""Name of the log, under the subject ``fleet``."""
KNOWN_SECONDS = 5.0
"""So long a process relies on its last look that found no seal."""
SETTLED_SECONDS = 8.0
"""So long a mover waits after the seal. It must exceed :data:`KNOWN_SECONDS`: what was acknowledged
on an earlier look must be in the trail when the copy begins."""

EFFECT = "it takes no jobs and starts none"
REMEDY = "Use the storage that it was moved to, or lift the seal with `jobfleet audit unseal`"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A seal in force.

    Attributes:
        move_id: the move that it belongs to.
        by, since, reason: who sealed the fleet, when, and why.
    """

    move_id: str
    by: str
    since: datetime
    reason: str

    @classmethod
    def of(cls, entry: ControlEntry | None) -> Seal | None:
        """Return the seal in force after an entry, ``None`` if there is none.

        An entry that cannot be read seals too.
        """
        if entry is None:
            return None
        try:
            if not entry.state["sealed"]:
                return None
            return cls(
                move_id=str(entry.state["moveId"]),
                by=str(entry.state["sealedBy"]),
                since=parse_time(entry.state["sealedAt"]),
                reason=str(entry.state["reason"]),
            )
        except (KeyError, TypeError, ValueError):
            return cls(
                move_id="", by=entry.by, since=entry.occurred_at, reason="its log cannot be read"
            )

    @property
    def text(self) -> str:
        """Say it in a line, with the remedy."""
        why = f" ({self.why})" if self.why else ""
        return (
            f"the fleet was sealed by {self.by} at {format_time(self.since)}{why}: "
            f"{EFFECT}. {REMEDY}"
        )

    @property
    def why(self) -> str:
        """The reason as it may be shown."""
        return masked_text(self.reason)

    def state(self) -> dict[str, Any]:
        """Return the form that the log holds."""
        return {
            "sealed": True,
            "moveId": self.move_id,
            "sealedBy": self.by,
            "sealedAt": format_time(self.since),
            "reason": self.reason,
        }


def is_seal_log(entry: ControlEntry) -> bool:
    """Whether an entry belongs to the log of the seal."""
    return entry.subject is ControlSubject.FLEET and entry.name == SEAL


class FleetSeal:
    """Whether the fleet is sealed, as one process knows it."""

    def __init__(self, *, log: ControlLog, clock: Clock) -> None:
        self._control_log = log
        self._clock = clock
        self._unsealed_at = float("-inf")
        """Boot-time seconds at which the last look began that found no seal."""
        self._looking = asyncio.Lock()

    async def check(self) -> None:
        """Return if the fleet was not sealed :data:`KNOWN_SECONDS` ago; waits through outages.

        Call it before something is begun, and again after its event stands and before any caller is
        told so, or anything is done on the strength of it.

        Raises:
            FleetSealed: it is sealed; says by whom, and what to do.
            BackendForbidden: this process may not read the control log.
        """
        if self._is_known():
            return
        async with self._looking:  # many submits at once look once
            if self._is_known():
                return
            # Before the request and never after: the log is as old as the moment of the question.
            began = self._clock.boottime()
            seal = Seal.of(await self._newest())
            if seal is not None:
                raise FleetSealed(seal.text)
            self._unsealed_at = began

    def _is_known(self) -> bool:
        return self._clock.boottime() - self._unsealed_at <= KNOWN_SECONDS

    async def _newest(self) -> ControlEntry | None:
        return await retry_forever(
            lambda: self._control_log.newest(ControlSubject.FLEET, SEAL), _unless_forbidden
        )


def _unless_forbidden(error: BackendError) -> None:
    """Log why the seal is not known yet. A missing permission comes with no other try."""
    if isinstance(error, BackendForbidden):
        raise error
    _log.debug(SEAL_UNKNOWN, error=str(error))
