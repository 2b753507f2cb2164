"""Whether the fleet is sealed, as pages say it; one look serves all who ask within seconds."""

from __future__ import annotations

import asyncio

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control.fleet_seal import KNOWN_SECONDS, SEAL, Seal


class SealReader:
    """Looks again when the last look is older than ``KNOWN_SECONDS``."""

    def __init__(self, *, log: ControlLog, clock: Clock) -> None:
        self._control_log = log
        self._clock = clock
        self._lock = asyncio.Lock()
        self._looked_at = float("-inf")
        self._seal: Seal | None = None

    @property
    def known(self) -> Seal | None:
        """The seal that the last look found."""
        return self._seal

    async def read(self) -> Seal | None:
        """Return the seal in force, the one last seen while the log cannot be read.

        Pages say it beside what they show: an outage of the log must not take the page away.
        """
        async with self._lock:
            now = self._clock.boottime()
            if now - self._looked_at > KNOWN_SECONDS:
                self._looked_at = now
                try:
                    newest = await self._control_log.newest(ControlSubject.FLEET, SEAL)
                except BackendError:
                    return self._seal
                self._seal = Seal.of(newest)
            return self._seal
