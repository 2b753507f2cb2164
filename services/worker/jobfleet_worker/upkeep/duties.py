"""What the leader does for the whole fleet; each duty returns its pause in seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from jobfleet_contracts.fleet_ports import RateStore, WorkerDirectory
from jobfleet_contracts.ports import Clock, JobIndex
from jobfleet_contracts.worker_status import KEPT as WORKERS_KEPT
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.reading.error_report import KEPT
from jobfleet_worker.run.pause_watch import PauseWatch
from jobfleet_worker.upkeep.rescuer import Rescuer
from jobfleet_worker.upkeep.retention import Retention
from jobfleet_worker.upkeep.scheduler import Scheduler

RESUME_LOOK_SECONDS = 1.0
"""Between two looks of the leader whether the time of a pause has come; each costs nothing."""
TRIM_PAUSE_SECONDS = 60.0
"""Between two calls of the leader that remove counts older than any question."""
RATES_KEPT = timedelta(hours=1)
"""Far longer than clocks may differ: a count that has passed allows the same as none."""


WORKERS_LOOK_SECONDS = 600.0
"""Between two looks for workers that were silent for a week."""


class Duties:
    """The duties of one worker while it leads.

    Args:
        retention: ``None``: ended jobs are kept for good.
        seal: while the fleet is sealed nothing is rescued, removed or fired.
        rescue_seconds: between two sweeps for jobs that no worker holds.
    """

    def __init__(
        self,
        *,
        rescuer: Rescuer,
        retention: Retention | None,
        scheduler: Scheduler,
        pauses: Pauses,
        pause_watch: PauseWatch,
        index: JobIndex,
        rates: RateStore,
        directory: WorkerDirectory,
        clock: Clock,
        rescue_seconds: float,
        seal: FleetSeal,
    ) -> None:
        self._seal = seal
        self._rescuer = rescuer
        self._retention = retention
        self._scheduler = scheduler
        self._pauses = pauses
        self._pause_watch = pause_watch
        self._index = index
        self._rates = rates
        self._directory = directory
        self._clock = clock
        self._rescue_seconds = rescue_seconds

    def each(self) -> Sequence[Callable[[], Awaitable[float]]]:
        """Return the duties, in the order in which a new leader begins them."""
        return [
            self._sweep,
            self._fire,
            self._resume_in_time,
            self._trim,
            self._forget_rates,
            self._forget_workers,
        ]

    async def _fire(self) -> float:
        await self._seal.check()
        return await self._scheduler.sweep()

    async def _sweep(self) -> float:
        await self._seal.check()
        await self._rescuer.sweep()
        if self._retention is not None:
            await self._retention.sweep()
        return self._rescue_seconds

    async def _resume_in_time(self) -> float:
        if self._pause_watch.latest is not None:
            await self._pauses.resume_those_over(self._pause_watch.latest)
        return RESUME_LOOK_SECONDS

    async def _trim(self) -> float:
        await self._index.trim(before=self._clock.now() - KEPT)
        return TRIM_PAUSE_SECONDS

    async def _forget_rates(self) -> float:
        """Remove the counts of rate keys that were quiet for an hour."""
        await self._rates.forget(self._clock.now() - RATES_KEPT)
        return RATES_KEPT.total_seconds()

    async def _forget_workers(self) -> float:
        """Remove what workers reported of themselves more than seven days ago."""
        await self._directory.forget(self._clock.now() - WORKERS_KEPT)
        return WORKERS_LOOK_SECONDS
