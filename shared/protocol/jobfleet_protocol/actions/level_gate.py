"""Accepts a request of a newer protocol level only while the workers concerned have that level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import FleetTooOld
from jobfleet_contracts.event import NAMELESS
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.protocol_level import FIRST_LEVEL, level_of
from jobfleet_protocol.control.used_level import UsedLevels

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest


class LevelGate:
    """Asks the worker directory before a request that not every level knows is accepted.

    A worker announces itself in the directory before it reads the level that was used. The gate
    notes the level before it looks at the directory. So either the worker refuses to start, or
    the gate sees it.

    Args:
        levels: the fields that not every level knows, with the level that each needs.
    """

    def __init__(
        self,
        *,
        directory: WorkerDirectory,
        log: ControlLog,
        clock: Clock,
        levels: Mapping[str, int],
    ) -> None:
        self._directory = directory
        self._used = UsedLevels(log=log, clock=clock)
        self._clock = clock
        self._levels = levels

    async def admit(self, request: JobRequest, *, by: str | None) -> None:
        """Return if every worker concerned can act on the request.

        Those are the live workers of its queue, and the one that holds the rescuer's lease.

        Raises:
            FleetTooOld: one of them cannot; names it, its release and the field.
            BackendUnavailable: the directory cannot be read. Nothing was accepted.
        """
        level = level_of(request, self._levels)
        if level == FIRST_LEVEL:
            return
        await self._check(request, level)
        if (await self._used.read()).level >= level:
            return
        named = self._field(request, level)
        await self._used.raise_to(level, by=by or NAMELESS, reason=f"a job with {named}")
        # Not before the level is noted: no process would see a worker that starts in between.
        await self._check(request, level)

    async def _check(self, request: JobRequest, level: int) -> None:
        now = self._clock.now()
        for worker in await self._directory.workers():
            concerned = worker.leads or request.queue in worker.queues
            if concerned and worker.is_alive(now) and worker.level < level:
                raise FleetTooOld(
                    f"{self._field(request, level)} needs protocol level {level}. Worker "
                    f"{worker.worker_id} on {worker.host} runs release {worker.version}, which has "
                    f"level {worker.level}: update it, or leave the field out"
                )

    def _field(self, request: JobRequest, level: int) -> str:
        return next(name for name in request.to_json() if self._levels.get(name) == level)
