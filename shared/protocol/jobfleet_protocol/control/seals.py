"""What people ask of the fleet's seal: set it, lift it, look."""

from __future__ import annotations

from functools import partial

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control.control_writer import ControlDraft, ControlWriter
from jobfleet_protocol.control.fleet_seal import SEAL, Seal


class Seals:
    """Sets and lifts the seal. Other processes see it within ``KNOWN_SECONDS``."""

    def __init__(self, *, log: ControlLog, clock: Clock) -> None:
        self._control_log = log
        self._clock = clock
        self._writer = ControlWriter(log=log, clock=clock, heeds_seal=False)

    async def newest(self) -> ControlEntry | None:
        """Return the newest entry, ``None`` if the fleet was never sealed."""
        return await self._control_log.newest(ControlSubject.FLEET, SEAL)

    async def put(self, move_id: str, *, by: str, reason: str) -> Seal:
        """Seal the fleet, and return the seal in force: an earlier one stays as it is."""
        wanted = Seal(move_id=move_id, by=by, since=self._clock.now(), reason=reason)
        entry = await self._writer.append(ControlSubject.FLEET, SEAL, partial(_put, wanted))
        if entry is not None:
            return wanted
        return Seal.of(await self.newest()) or wanted

    async def lift(
        self, *, by: str, reason: str, move_id: str | None = None, complete: bool = False
    ) -> None:
        """Lift the seal.

        Args:
            move_id: lift it only if it belongs to this move.
            complete: all that was to be moved here is here.

        Raises:
            ActionRefused: the fleet is not sealed, or by another move.
        """
        await self._writer.append(
            ControlSubject.FLEET,
            SEAL,
            partial(_lift, by=by, reason=reason, move_id=move_id, complete=complete),
        )


def _put(wanted: Seal, newest: ControlEntry | None) -> ControlDraft | None:
    if Seal.of(newest) is not None:
        return None
    return ControlDraft(
        kind=ControlKind.SEALED, by=wanted.by, reason=wanted.reason, state=wanted.state()
    )


def _lift(
    newest: ControlEntry | None, *, by: str, reason: str, move_id: str | None, complete: bool
) -> ControlDraft:
    seal = Seal.of(newest)
    if seal is None:
        raise ActionRefused("the fleet is not sealed")
    if move_id is not None and seal.move_id != move_id:
        raise ActionRefused(f"another move has sealed the fleet: {seal.text}")
    state = {"sealed": False, "moveId": seal.move_id, "complete": complete}
    return ControlDraft(kind=ControlKind.UNSEALED, by=by, reason=reason, state=state)
