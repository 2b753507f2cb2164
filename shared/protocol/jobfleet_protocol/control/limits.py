"""What operators ask of named limits: set, remove, look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from jobfleet_contracts.control import ControlEntry, ControlSubject, check_control_name
from jobfleet_contracts.control_ports import ControlChannel, ControlLog
from jobfleet_contracts.errors import BackendError, UnknownLimit
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control import limit_state
from jobfleet_protocol.control.control_writer import ControlWriter, Decision, OnAppended
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.most_names import MOST_NAMES, check_room

ANNOUNCEMENT_LOST = "limit.announcement_lost"

_log = structlog.get_logger()


class Limits:
    """The named limits of the fleet. Each change tells all workers; the log decides."""

    def __init__(
        self,
        *,
        log: ControlLog,
        control: ControlChannel,
        clock: Clock,
        on_appended: OnAppended | None = None,
        most: int | None = MOST_NAMES,
    ) -> None:
        self._most = most
        self._control_log = log
        self._control = control
        self._writer = ControlWriter(log=log, clock=clock, on_appended=on_appended)

    async def read(self) -> Mapping[str, Limit]:
        """Return all limits by name, removed ones too.

        Raises:
            BackendError: the log did not answer.
        """
        heads = await self._control_log.heads(ControlSubject.LIMIT)
        return {head.name: Limit.of(head) for head in heads}

    async def get(self, name: str) -> Limit:
        """Return one limit.

        Raises:
            UnknownLimit: it was never set, or was removed.
        """
        check_control_name(name, what="limit")
        newest = await self._control_log.newest(ControlSubject.LIMIT, name)
        if newest is None or (found := Limit.of(newest)).removed:
            raise UnknownLimit(f"no limit {name}")
        return found

    async def history(
        self, name: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[ControlEntry]:
        """Return entries of one limit, newest first."""
        return await self._control_log.history(
            ControlSubject.LIMIT, name, before=before, limit=limit
        )

    async def set(
        self,
        name: str,
        *,
        slots: int | None,
        rate: str | None,
        burst: int = 1,
        by: str,
        reason: str = "",
    ) -> Limit:
        """Set the whole limit; what is ``None`` is not limited.

        More slots count from each worker's next look at the log. With fewer slots jobs that run go
        on; slots above the number are not taken any more.

        Raises:
            InvalidRequest: the name cannot be a key, a value does not fit, or there are too many
                other limits.
        """
        check_control_name(name, what="limit")
        await check_room(self._control_log, ControlSubject.LIMIT, name, self._most)
        decide = partial(
            limit_state.set_limit, slots=slots, rate=rate, burst=burst, by=by, reason=reason
        )
        await self._change(name, decide)
        return await self.get(name)

    async def remove(self, name: str, *, by: str, reason: str = "") -> None:
        """End a limit: jobs that name it start as if they did not.

        Raises:
            UnknownLimit: it was never set, or was removed.
        """
        decide = partial(limit_state.remove_limit, name=name, by=by, reason=reason)
        await self._change(name, decide)

    async def _change(self, name: str, decide: Decision) -> None:
        await self._writer.append(ControlSubject.LIMIT, name, decide)
        try:
            await self._control.announce_change(ControlSubject.LIMIT, name)
        except BackendError as error:
            _log.warning(ANNOUNCEMENT_LOST, limit=name, error=str(error))
