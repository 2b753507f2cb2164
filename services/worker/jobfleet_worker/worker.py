"""The worker process: starts and stops the parts, in an order that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.retry import back_off
from jobfleet_publisher.sync import LoopPublisher
from jobfleet_worker.handlers.open_hooks import started
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.upkeep.wiring import wire_upkeep
from jobfleet_worker.wiring import WorkerSetup, wire_claiming, wire_receiving, wire_running

WORKER_STARTED = "worker.started"
WORKER_DRAINING = "worker.draining"
WORKER_STOPPED = "worker.stopped"
LAST_WRITES_SECONDS = 5.0
BROKER_AWAITED = "broker.awaited"
QUEUE_NOT_SERVED = "handler.queue_not_served"

_log = structlog.get_logger()


class Worker:
    """One worker process on one event loop.

    Attributes:
        has_started: set once it takes jobs.

    Args:
        renewal_loop: renews leases instead of a thread of its own; see :class:`LeaseKeeper`.
        metrics: told what happens; see :class:`jobfleet_worker.metrics.prometheus_metrics`.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        handlers: Handlers,
        options: WorkerOptions,
        clock: Clock,
        renewal_loop: asyncio.AbstractEventLoop | None = None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._options = options
        self._stop, self.has_started = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._drain_end: float | None = None
        self._setup = WorkerSetup.of(
            backend=backend, handlers=handlers, options=options, clock=clock, metrics=metrics
        )
        self._handlers_publisher = self._setup.publisher()
        self._receiving = wire_receiving(self._setup)
        self._claiming = wire_claiming(self._setup, self._receiving, renewal_loop=renewal_loop)
        self._running = wire_running(
            self._setup, self._receiving, self._claiming, stop=self._stop.set
        )
        self._upkeep = wire_upkeep(
            self._setup, self._receiving, self._claiming, self._running.executor
        )
        self.outbound = self._setup.outbound
        self.executor = self._running.executor

    def request_stop(self) -> None:
        """Ask the worker to drain and stop; safe from signal handlers and other threads."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        else:
            self._stop.set()

    @property
    def drain_seconds_left(self) -> float:
        """What is left of the drain time: all of it before the drain, 0 at least."""
        if self._loop is None or self._drain_end is None:
            return self._options.drain_seconds
        return max(self._drain_end - self._loop.time(), 0.0)

    async def run(self) -> None:
        """Work until :meth:`request_stop`, then finish or hand back what runs.

        Raises:
            ReleaseTooOld: the fleet has used a protocol level above this release's, or another
                release has migrated the storage. What ran has been finished or handed back.
            HookFailed: an ``on_startup`` or a provider of the worker's raised.
        """
        self._loop = asyncio.get_running_loop()
        with structlog.contextvars.bound_contextvars(worker_id=self._options.worker_id):
            if not await self._level_fits():
                return
            await self._start_hooks()
            await self._handlers_publisher.start()
            blocking = LoopPublisher(self._handlers_publisher, self._loop)
            blocking.start()
            self._claiming.keeper.start()
            self._running.processes.start()
            await self._open_source()
            if self._options.lock_scope == "worker":
                await self._claiming.worker_lock.open()
            work = self._start("work", self._jobs())
            others = [
                self._start("pause-watch", self._receiving.pause_watch.run()),
                heartbeat := self._start("heartbeat", self._upkeep.heartbeat.run()),
                self._start("leadership", self._upkeep.leadership.run()),
                self._start("code-schedules", self._upkeep.code_schedules.run()),
                self._start("announced-keys", self._claiming.announced_keys.run()),
                self._start("cancel-listener", self._running.cancel_listener.run()),
            ]
            types = self._setup.handlers.types
            _log.info(WORKER_STARTED, types=types, queues=self._options.queues)
            self._warn_of_other_queues()
            self.has_started.set()
            try:
                await self._until_stopped()
            finally:
                self._upkeep.heartbeat.draining = True
                if heartbeat.done():
                    # It ended the worker, as its release is shut out. What runs may go on for the
                    # whole drain time, and a row without heartbeats says that the worker is gone.
                    others.append(self._start("heartbeat", self._upkeep.heartbeat.run()))
                await self._drain(work)
                await _end(others)
                blocking.stop()
                await self._handlers_publisher.stop()
                await self._close()

    def _warn_of_other_queues(self) -> None:
        """Say which jobs of its own handlers this worker never gets."""
        served = self._options.queues
        for job_type, queue in self._setup.handlers.outside(served).items():
            _log.warning(
                QUEUE_NOT_SERVED,
                type=job_type,
                queue=queue,
                queues=served,
                remedy=f"serve it too: --queues {','.join((*served, queue))}",
            )

    async def _level_fits(self) -> bool:
        """Wait for the level check; ``False``: the worker was asked to stop meanwhile.

        Raises:
            ReleaseTooOld: the check has refused this release.
        """
        check = asyncio.create_task(self._upkeep.level_check.pass_or_refuse(), name="level-check")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait({check, stop}, return_when=asyncio.FIRST_COMPLETED)
        fits = check.done()
        await _end([stop] if fits else [stop, check])
        if fits:
            await check
        return fits

    async def _start_hooks(self) -> None:
        try:
            await started(self._setup.hooks)
        except BaseException:
            # Also when cancelled: the worker's row must not say that it serves. It goes on up.
            await self._upkeep.heartbeat.stop()
            raise

    def _jobs(self) -> Coroutine[Any, Any, None]:
        turns = self._options.lock_scope == "fleet"
        return self._running.fleet_scope.run() if turns else self._running.consumer.run()

    def _start(self, name: str, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part, name=name)
        self._tasks.append(task)
        return task

    async def _open_source(self) -> None:
        """Wait for the broker with back-off; say so once."""
        waiting = False
        for pause in back_off():
            try:
                await self._receiving.source.start(self._options.queues)
                return
            except BackendError as error:
                if not waiting:
                    _log.warning(BROKER_AWAITED, error=str(error))
                waiting = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)
                if self._stop.is_set():
                    return

    async def _until_stopped(self) -> None:
        """Wait for the request to stop, or for a part that died of an error of its own."""
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait([stop, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        for task in done - {stop}:
            await task

    async def _drain(self, work: asyncio.Task[None]) -> None:
        """Take nothing more, let running jobs finish for a while, hand back the rest."""
        running = len(self.executor.running)
        self._drain_end = asyncio.get_running_loop().time() + self._options.drain_seconds
        _log.info(WORKER_DRAINING, running=running, seconds=self._options.drain_seconds)
        self._running.consumer.stop()
        self.executor.leave_abandoned()
        work.cancel()
        await asyncio.wait({work}, timeout=0.5)
        await self._receiving.source.stop()
        finished = asyncio.create_task(self._running.consumer.finish(), name="finish")
        done, _ = await asyncio.wait({finished}, timeout=self._options.drain_seconds)
        if not done:
            self.executor.stop_all()
            await asyncio.wait({finished}, timeout=self._options.grace_seconds + 10)
            finished.cancel()
        await asyncio.wait({work}, timeout=5)
        await self._claiming.give_back.settle(LAST_WRITES_SECONDS)
        await self._setup.writes.settle()
        # Last: what was not handed back is free for the other workers from here on.
        await self._claiming.worker_lock.close()

    async def _close(self) -> None:
        await self._upkeep.heartbeat.stop()
        if self._setup.handlers.process_modules:
            await in_own_thread(self._running.processes.close, name="close-processes")
        await in_own_thread(self._claiming.keeper.stop, name="stop-renewals")
        await self._setup.hooks.stop()
        _log.info(WORKER_STOPPED)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
