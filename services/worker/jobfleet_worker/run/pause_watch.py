"""Knows pauses and limits: reads the control log, again at each announcement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.control_ports import ControlChannel
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pause_state import PAUSABLE, FleetPauses
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.retry import retry_forever

PAUSES_READ = "pauses.read"
PAUSES_UNKNOWN = "pauses.unknown"
KNOWN_FOR_HEARTBEATS = 3
WAIT_SECONDS = 10.0
QUIET_SECONDS = 0.5
"""Between two announcements that are heeded; twice as long as a look takes, if that is longer."""
LISTENER_FAILED = "pause_listener.failed"

_log = structlog.get_logger()


class PauseWatch:
    """The pauses in force and the named limits, as this worker knows them.

    Until the log has been read, and from an announcement until it has been read again, nothing is
    known and nothing may start. What was read counts for three heartbeats: a worker that stood
    still, or that cannot read the log, does not go by an old look.

    Args:
        changed: called with the pauses after each look.
        aliases: earlier names of this worker's types to the names that they have now.
        heartbeat_seconds: between two looks without an announcement.
    """

    def __init__(
        self,
        *,
        pauses: Pauses,
        limits: Limits,
        control: ControlChannel,
        changed: Callable[[FleetPauses], Awaitable[None]],
        clock: Clock,
        heartbeat_seconds: float,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._pauses = pauses
        self._limits = limits
        self._aliases = aliases or {}
        self._control = control
        self._changed = changed
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._current: FleetPauses | None = None
        self._limits_read: Mapping[str, Limit] = {}
        self._read_at = 0.0
        self._heeded: FleetPauses | None = None
        self._known = asyncio.Event()
        self._announced = asyncio.Event()
        self._look_seconds = 0.0
        self._quiet_until = 0.0
        self._pending: asyncio.TimerHandle | None = None

    @property
    def latest(self) -> FleetPauses | None:
        """The pauses in force, ``None`` while they are not known."""
        age = self._clock.boottime() - self._read_at
        return self._current if age <= KNOWN_FOR_HEARTBEATS * self._heartbeat_seconds else None

    async def current(self) -> FleetPauses:
        """Return the pauses in force; waits some seconds while they are not known.

        Raises:
            BackendUnavailable: they are still not known: the control log cannot be read.
        """
        if (found := self.latest) is not None:
            return found
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while (found := self.latest) is None:
                    if self._current is not None:  # read too long ago
                        self._forget()
                    await self._known.wait()
        except TimeoutError:
            raise BackendUnavailable("the pauses of the fleet cannot be read") from None
        return found

    async def limits(self) -> Mapping[str, Limit]:
        """Return the named limits, by name; waits and raises as :meth:`current` does."""
        await self.current()
        return self._limits_read

    async def run(self) -> None:
        """Look with each heartbeat and at each announcement, until cancelled."""
        listening = asyncio.create_task(self._listen(), name="pause-listener")
        try:
            while True:
                await self._look()
                await self._until_announced()
        finally:
            listening.cancel()
            if self._pending is not None:
                self._pending.cancel()

    async def _look(self) -> None:
        """Read the log until a look ends with no announcement that came while it was read."""
        while not await retry_forever(
            self._learn, lambda error: _log.warning(PAUSES_UNKNOWN, error=str(error))
        ):
            pass

    async def _learn(self) -> bool:
        self._announced.clear()
        began = self._clock.boottime()
        found, limits = await asyncio.gather(self._pauses.read(), self._limits.read())
        if self._aliases:
            found = replace(found, aliases=self._aliases)
        self._look_seconds = self._clock.boottime() - began
        if self._announced.is_set():  # this look may be older than the entry
            return False
        if found != self._heeded:
            _log.info(PAUSES_READ, queues=sorted(found.queues), types=sorted(found.types))
        self._current, self._limits_read, self._read_at = found, limits, began
        self._known.set()
        await self._changed(found)
        self._heeded = found
        return True

    async def _until_announced(self) -> None:
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                await self._announced.wait()
        except TimeoutError:
            return

    async def _listen(self) -> None:
        await retry_forever(
            self._follow_changes, lambda error: _log.warning(LISTENER_FAILED, error=str(error))
        )

    async def _follow_changes(self) -> None:
        async for subject, _ in self._control.changes():
            self._on_change(subject)

    def _on_change(self, subject: ControlSubject) -> None:
        """Act on an announcement at once, and on those right after it together half a second later.

        Any client that may write to the broker can announce. If the worker acted on each one,
        announcements that come faster than a look takes would keep it from knowing the pauses.
        """
        counts = subject in PAUSABLE or subject is ControlSubject.LIMIT
        if not counts or self._pending is not None:
            return
        wait = self._quiet_until - self._clock.boottime()
        if wait <= 0:
            self._apply_change()
        else:
            self._pending = asyncio.get_running_loop().call_later(wait, self._apply_change)

    def _apply_change(self) -> None:
        self._pending = None
        quiet = max(QUIET_SECONDS, 2 * self._look_seconds)
        self._quiet_until = self._clock.boottime() + quiet
        self._forget()

    def _forget(self) -> None:
        self._current = None
        self._known.clear()
        self._announced.set()
