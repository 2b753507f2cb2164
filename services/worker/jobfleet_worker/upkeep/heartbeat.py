"""Tells the worker directory, every few seconds, that this worker lives and what it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from jobfleet_contracts.errors import BackendError, ReleaseTooOld, ReleaseUnfit
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker
from jobfleet_worker.run.executor import Executor

HEARTBEAT_FAILED = "heartbeat.failed"
MAX_CIRCUITS = 100

_log = structlog.get_logger()


class Heartbeat:
    """Replaces this worker's row in the directory.

    Attributes:
        refused: why this worker's handlers refuse payloads of schedules, by the schedule's digest.
        announced: set once the row has been written for the first time.
    """

    def __init__(
        self,
        *,
        directory: WorkerDirectory,
        executor: Executor,
        handlers: Handlers,
        options: WorkerOptions,
        clock: Clock,
        circuits: CircuitBreaker,
        clock_offset: Callable[[], float],
        leads: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._executor = executor
        self._handlers = handlers
        self._options = options
        self._circuits = circuits
        self._clock = clock
        self._started_at: datetime = clock.now()
        self._digests = {each.name: each.digest() for each in handlers.schedules}
        self._clock_offset = clock_offset
        self._leads = leads
        self.refused: Mapping[str, str] = {}
        self.announced = asyncio.Event()
        self.draining = False

    async def run(self) -> None:
        """Beat until cancelled; says once when it fails.

        Raises:
            ReleaseTooOld: the storage is no longer made for this release: the worker has to end.
                A worker that drains goes on beating, as long as the storage takes it.
        """
        failing = False
        while True:
            try:
                await self.beat()
                failing = False
            except BackendError as error:
                if isinstance(error, ReleaseUnfit) and not self.draining:
                    raise ReleaseTooOld(str(error)) from error
                if not failing:
                    _log.warning(HEARTBEAT_FAILED, error=str(error))
                failing = True
            except Exception:  # noqa: BLE001 - an error of our own about one job must not end all
                if not failing:
                    _log.exception(HEARTBEAT_FAILED)
                failing = True
            await asyncio.sleep(self._options.heartbeat_seconds)

    async def beat(self, stopped_at: datetime | None = None) -> None:
        """Write one heartbeat, the last one with the time of the stop."""
        options, tally = self._options, self._executor.tally
        status = WorkerStatus(
            worker_id=options.worker_id,
            host=options.host,
            pid=options.pid,
            version=options.version,
            level=options.level,
            leads=self._leads(),
            started_at=self._started_at,
            heartbeat_at=self._clock.now(),
            slots=options.slots,
            queues=options.queues,
            types=self._handlers.types,
            running=tuple(run.status() for run in self._executor.running.values()),
            draining=self.draining,
            stopped_at=stopped_at,
            open_circuits=self._circuits.open_targets()[:MAX_CIRCUITS],
            schedules=self._digests,
            refused=self.refused,
            clock_off_seconds=round(self._clock_offset(), 3),
            runs=tally.runs,
            failures=tally.failures,
            fenced=tally.fenced,
            recent=tally.recent,
        )
        await self._directory.beat(status)
        self.announced.set()

    async def stop(self) -> None:
        """Say that the worker has stopped: for an hour, others still see which types it had."""
        try:
            await self.beat(stopped_at=self._clock.now())
        except BackendError as error:
            _log.warning(HEARTBEAT_FAILED, error=str(error))
        except Exception:  # noqa: BLE001 - the stop goes on
            _log.exception(HEARTBEAT_FAILED)
