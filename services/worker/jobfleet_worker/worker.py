"""The worker process: starts and stops the parts, in an order that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from jobfleet_contracts.backend import MOST_CLOCK_OFFSET, Backend
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import MAX_TAKEOVERS
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.claiming.claimer import Claimer, Unclear
from jobfleet_protocol.claiming.rate_slots import RateSlots
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.control.type_keys import TypeKeys
from jobfleet_protocol.reading.error_report import KEPT
from jobfleet_protocol.retry import back_off
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.sync import LoopPublisher
from jobfleet_worker.builtin.calling_handlers import calling_handlers
from jobfleet_worker.handlers.open_hooks import OpenHooks, started
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.outbound.http_client import HttpClient
from jobfleet_worker.processes.pool import process_pool
from jobfleet_worker.run.cancel_listener import CancelListener
from jobfleet_worker.run.consumer import Consumer
from jobfleet_worker.run.counted_leases import CountedLeases, CountedRenewals
from jobfleet_worker.run.deferral import Deferral
from jobfleet_worker.run.executor import Executor
from jobfleet_worker.run.exempt_jobs import ExemptJobs
from jobfleet_worker.run.fleet_turn import FleetTurn
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.give_back import GiveBack
from jobfleet_worker.run.job_run import RunParts
from jobfleet_worker.run.lease_keeper import LeaseKeeper, OpenLeases, Renewals
from jobfleet_worker.run.message_source import MessageSource
from jobfleet_worker.run.missing_handler import MissingHandler
from jobfleet_worker.run.pause_watch import PauseWatch
from jobfleet_worker.run.process_turns import ProcessTurns
from jobfleet_worker.run.rate_gate import RateGate
from jobfleet_worker.run.recycling import Recycling
from jobfleet_worker.run.slots import Slots
from jobfleet_worker.run.start_terms import HandlerTerms
from jobfleet_worker.run.worker_lock import WorkerLock
from jobfleet_worker.upkeep.announced_keys import AnnouncedKeys
from jobfleet_worker.upkeep.code_schedules import CodeSchedules
from jobfleet_worker.upkeep.election import Election
from jobfleet_worker.upkeep.heartbeat import Heartbeat
from jobfleet_worker.upkeep.lock_successor import LockSuccessor
from jobfleet_worker.upkeep.rescuer import Rescuer
from jobfleet_worker.upkeep.retention import Retention
from jobfleet_worker.upkeep.scheduler import Scheduler

WORKER_STARTED = "worker.started"
WORKER_DRAINING = "worker.draining"
WORKER_STOPPED = "worker.stopped"
LAST_WRITES_SECONDS = 5.0
RESUME_LOOK_SECONDS = 1.0
"""Between two looks of the leader whether the time of a pause has come; each costs nothing."""
TRIM_PAUSE_SECONDS = 60.0
"""Between two calls of the leader that remove counts nobody asks for any more."""
RATES_KEPT = timedelta(hours=1)
"""Far longer than clocks may differ: a count that has passed allows the same as none."""
BROKER_AWAITED = "broker.awaited"

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
        if metrics is not NO_METRICS:
            backend = _counted(backend, metrics)
        self._backend = backend
        self._options = options
        self._clock = clock
        self.outbound = HttpClient(options=options.outbound, clock=clock)
        self._handlers = handlers.with_built_in(
            *calling_handlers(self.outbound, clock, trail=backend.trail, payloads=backend.payloads)
        )
        self._handlers_publisher = Publisher(
            backend=backend, clock=clock, defaults=options.defaults
        )
        metrics.types_known(self._handlers.types)
        wanted = self._handlers.wanted(in_process=False)
        self._hooks = OpenHooks(self._handlers.hooks, wanted)
        self._stop, self.has_started = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writes = WriteSide.wire(backend=backend, clock=clock, defaults=options.defaults)
        self._pauses = Pauses(log=backend.control_log, control=backend.control, clock=clock)
        self._pause_watch = PauseWatch(
            pauses=self._pauses,
            limits=Limits(log=backend.control_log, control=backend.control, clock=clock),
            control=backend.control,
            changed=self._heed,
            aliases=self._handlers.aliases,
            clock=clock,
            heartbeat_seconds=options.heartbeat_seconds,
        )
        self._source = MessageSource(consumer=backend.consumer(), pauses=self._pause_watch)
        self._exempt_jobs = ExemptJobs(
            trail=backend.trail,
            payloads=backend.payloads,
            clock=clock,
            queues=options.queues,
            types=self._handlers.types,
            hand=self._source.hand,
        )
        self._keeper = LeaseKeeper(
            open_leases=_renewals(backend, metrics),
            lease_seconds=options.lease_seconds,
            renew_seconds=options.renew_seconds,
            clock=clock,
            loop=renewal_loop,
            metrics=metrics,
        )
        rates = RateSlots(store=backend.rates, clock=clock, clock_offset=backend.clock_offset)
        self._announced_keys = AnnouncedKeys(
            handlers=self._handlers,
            keys=TypeKeys(log=backend.control_log, clock=clock),
            clock=clock,
        )
        terms = HandlerTerms(handlers=self._handlers, limits=self._pause_watch.limits)
        self._claimer = Claimer(
            trail=backend.trail,
            leases=backend.leases,
            locks=backend.locks,
            index=backend.index,
            payloads=backend.payloads,
            writer=self._writes.writer,
            publication=self._writes.publication,
            clock=clock,
            worker_id=options.worker_id,
            lease_seconds=options.lease_seconds,
            defaults=options.defaults,
            attempt_limit=self._attempt_limit,
            takeover_limit=self._takeover_limit,
            pauses=self._pause_watch.current,
            rates=rates,
            terms=terms.of,
            limits=self._pause_watch.limits,
            keys=self._announced_keys.missing,
            give_back=self._give_back_unclear,
            fresh=options.fresh,
        )
        self._worker_lock, self._give_back = self._open_worker_lock()
        deferral = Deferral(
            queue=backend.queue,
            index=backend.index,
            writer=self._writes.writer,
            clock=clock,
            first_seconds=options.defer_seconds,
            metrics=metrics,
        )
        missing_handler = MissingHandler(
            trail=backend.trail,
            leases=backend.leases,
            directory=backend.directory,
            deferral=deferral,
            handlers=self._handlers,
            options=options,
            clock=clock,
        )
        slots = Slots(options.slots, clock=clock, alone_seconds=options.alone_seconds)
        self._processes = process_pool(
            self._handlers.process_modules,
            hook_modules=self._hooks.modules,
            size=min(options.processes, slots.total),
            max_jobs=options.max_jobs_per_process,
            max_mib=options.max_mib_per_process,
            set_up=options.set_up_process,
        )
        parts = RunParts(
            trail=backend.trail,
            payloads=backend.payloads,
            clock=clock,
            options=options,
            handlers=self._handlers,
            metrics=metrics,
            keeper=self._keeper,
            leases=self._claimer.leases,
            follow_up=FollowUp(
                leases=self._claimer.leases,
                ending=self._writes.ending,
                publication=self._writes.publication,
                successor=self._lock_successor(),
                clock=clock,
            ),
            no_more_starts=asyncio.Event(),
            missing_handler=missing_handler,
            rates=rates,
            slots=slots,
            hooks=self._hooks,
            processes=self._processes,
            give_back=self._give_back,
            retire_lock=self._worker_lock.retire,
        )
        recycling = Recycling(
            max_jobs=options.max_jobs,
            max_memory_mb=options.max_memory_mb,
            stop=self._stop.set,
        )
        self.executor = Executor(parts=parts, ended=recycling.job_ended)
        self._consumer = Consumer(
            index=backend.index,
            dead_letters=backend.dead_letters,
            ending=self._writes.ending,
            source=self._source,
            clock=clock,
            claimer=self._claimer,
            executor=self.executor,
            deferral=deferral,
            missing_handler=missing_handler,
            rate_gate=RateGate(
                trail=backend.trail,
                rates=rates,
                terms=terms.of,
                deferral=deferral,
                clock=clock,
            ),
            process_turns=ProcessTurns(
                trail=backend.trail,
                leases=backend.leases,
                deferral=deferral,
                handlers=self._handlers,
                pool=self._processes,
                slots=slots,
                clock=clock,
            ),
            slots=slots,
            worker_lock=self._worker_lock if options.lock_scope == "worker" else None,
            metrics=metrics,
        )
        self._heartbeat = Heartbeat(
            directory=backend.directory,
            circuits=self.outbound.circuits,
            executor=self.executor,
            handlers=self._handlers,
            options=options,
            clock=clock,
            clock_offset=backend.clock_offset,
        )
        self._rescuer = self._open_rescuer()
        self._retention = self._open_retention()
        schedules = self._schedules()
        self._scheduler = Scheduler(
            schedules=schedules, clock=clock, clock_offset=backend.clock_offset
        )
        self._code_schedules = CodeSchedules(
            handlers=self._handlers,
            schedules=schedules,
            directory=backend.directory,
            heartbeat=self._heartbeat,
            clock=clock,
        )
        self._leadership = Election(
            duties=[
                self._sweep,
                self._scheduler.sweep,
                self._resume_in_time,
                self._trim,
                self._forget_rates,
            ],
            claimer=self._claimer,
            keeper=self._keeper,
            leases=backend.leases,
            pause_seconds=options.rescue_seconds,
            is_reluctant=lambda: abs(backend.clock_offset()) > MOST_CLOCK_OFFSET,
        )

    def request_stop(self) -> None:
        """Ask the worker to drain and stop; safe from signal handlers and other threads."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        else:
            self._stop.set()

    async def run(self) -> None:
        """Work until :meth:`request_stop`, then finish or hand back what runs.

        Raises:
            HookFailed: an ``on_startup`` or a provider of the worker's raised.
        """
        self._loop = asyncio.get_running_loop()
        with structlog.contextvars.bound_contextvars(worker_id=self._options.worker_id):
            await started(self._hooks)
            await self._handlers_publisher.start()
            blocking = LoopPublisher(self._handlers_publisher, self._loop)
            blocking.start()
            self._keeper.start()
            self._processes.start()
            await self._open_source()
            if self._options.lock_scope == "worker":
                await self._worker_lock.open()
            work = self._start("work", self._work())
            others = [
                self._start("pause-watch", self._pause_watch.run()),
                self._start("heartbeat", self._heartbeat.run()),
                self._start("leadership", self._leadership.run()),
                self._start("code-schedules", self._code_schedules.run()),
                self._start("announced-keys", self._announced_keys.run()),
                self._start("cancel-listener", self._listener().run()),
            ]
            _log.info(WORKER_STARTED, types=self._handlers.types, queues=self._options.queues)
            self.has_started.set()
            try:
                await self._until_stopped()
            finally:
                await self._drain(work)
                await _end(others)
                blocking.stop()
                await self._handlers_publisher.stop()
                await self._close()

    def _attempt_limit(self, request: JobRequest, defaults: JobDefaults) -> int:
        found = self._handlers.get(request.type)
        declared = found.max_attempts if found is not None else None
        return request.max_attempts or declared or defaults.max_attempts

    def _takeover_limit(self, request: JobRequest) -> int:
        """Return how many lost workers in a row a job survives, by its request or its handler."""
        found = self._handlers.get(request.type)
        said = request.on_lost or (found.on_lost if found is not None else None)
        if said == "fail":
            return 0
        declared = found.max_takeovers if found is not None else None
        limits = (request.max_takeovers, declared, MAX_TAKEOVERS)
        return next(each for each in limits if each is not None)

    def _open_worker_lock(self) -> tuple[WorkerLock, GiveBack]:
        options, backend = self._options, self._backend
        worker_lock = WorkerLock(
            locks=self._claimer.leases,
            leases=backend.leases,
            keeper=self._keeper,
            worker_id=options.worker_id,
            lease_seconds=options.lease_seconds,
        )
        give_back = GiveBack(
            trail=backend.trail,
            writer=self._writes.writer,
            clock=self._clock,
            worker_id=options.worker_id,
            lease_seconds=options.lease_seconds,
            retire=worker_lock.retire,
        )
        return worker_lock, give_back

    def _give_back_unclear(self, claim: Unclear) -> None:
        self._give_back.unclear(claim)

    def _listener(self) -> CancelListener:
        return CancelListener(control=self._backend.control, executor=self.executor)

    def _schedules(self) -> Schedules:
        return Schedules(
            log=self._backend.control_log,
            trail=self._backend.trail,
            submitter=self._writes.submitter,
            clock=self._clock,
        )

    def _lock_successor(self) -> LockSuccessor:
        return LockSuccessor(
            trail=self._backend.trail,
            reader=self._backend.reader,
            locks=self._backend.locks,
            payloads=self._backend.payloads,
            publication=self._writes.publication,
            clock=self._clock,
            pauses=lambda: self._pause_watch.latest,
        )

    def _open_rescuer(self) -> Rescuer:
        backend = self._backend
        return Rescuer(
            trail=backend.trail,
            index=backend.index,
            reader=backend.reader,
            leases=backend.leases,
            locks=backend.locks,
            queue=backend.queue,
            payloads=backend.payloads,
            ending=self._writes.ending,
            publication=self._writes.publication,
            clock=self._clock,
            pauses=self._pause_watch.current,
            hand=self._source.hand,
        )

    async def _heed(self, pauses: FleetPauses) -> None:
        self._source.leave_out(frozenset(pauses.queues))
        await self._exempt_jobs.start(pauses)

    async def _resume_in_time(self) -> float:
        if self._pause_watch.latest is not None:
            await self._pauses.resume_those_over(self._pause_watch.latest)
        return RESUME_LOOK_SECONDS

    async def _trim(self) -> float:
        await self._backend.index.trim(before=self._clock.now() - KEPT)
        return TRIM_PAUSE_SECONDS

    async def _forget_rates(self) -> float:
        """Remove the counts of rate keys that were quiet for an hour."""
        await self._backend.rates.forget(self._clock.now() - RATES_KEPT)
        return RATES_KEPT.total_seconds()

    async def _sweep(self) -> float:
        await self._rescuer.sweep()
        if self._retention is not None:
            await self._retention.sweep()
        return self._options.rescue_seconds

    def _open_retention(self) -> Retention | None:
        days, store = self._options.retention_days, self._backend.retention
        if days is None or store is None:
            return None
        return Retention(
            trail=self._backend.trail,
            payloads=self._backend.payloads,
            store=store,
            clock=self._clock,
            days=days,
        )

    def _work(self) -> Coroutine[Any, Any, None]:
        if self._options.lock_scope != "fleet":
            return self._consumer.run()
        return FleetTurn(
            claimer=self._claimer,
            consumer=self._consumer,
            source=self._source,
            leases=self._backend.leases,
            keeper=self._keeper,
            clock=self._clock,
        ).run()

    def _start(self, name: str, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part, name=name)
        self._tasks.append(task)
        return task

    async def _open_source(self) -> None:
        """Wait for the broker with back-off; say so once."""
        waiting = False
        for pause in back_off():
            try:
                await self._source.start(self._options.queues)
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
        self._heartbeat.draining = True
        running = len(self.executor.running)
        _log.info(WORKER_DRAINING, running=running, seconds=self._options.drain_seconds)
        self._consumer.stop()
        self.executor.leave_abandoned()
        work.cancel()
        await asyncio.wait({work}, timeout=0.5)
        await self._source.stop()
        finished = asyncio.create_task(self._consumer.finish(), name="finish")
        done, _ = await asyncio.wait({finished}, timeout=self._options.drain_seconds)
        if not done:
            self.executor.stop_all()
            await asyncio.wait({finished}, timeout=self._options.grace_seconds + 10)
            finished.cancel()
        await asyncio.wait({work}, timeout=5)
        await self._give_back.settle(LAST_WRITES_SECONDS)
        await self._writes.settle()
        # Last: what was not handed back is free for the other workers from here on.
        await self._worker_lock.close()

    async def _close(self) -> None:
        await self._heartbeat.stop()
        if self._handlers.process_modules:
            await asyncio.to_thread(self._processes.close)
        await asyncio.to_thread(self._keeper.stop)
        await self._hooks.stop()
        _log.info(WORKER_STOPPED)


def _counted(backend: Backend, metrics: Metrics) -> Backend:
    return replace(
        backend,
        leases=CountedLeases(leases=backend.leases, metrics=metrics),
    )


def _renewals(backend: Backend, metrics: Metrics) -> OpenLeases:
    def opened() -> tuple[Renewals, Callable[[], Awaitable[None]]]:
        leases, close = backend.renewal_leases()
        return CountedRenewals(leases=leases, metrics=metrics), close

    return backend.renewal_leases if metrics is NO_METRICS else opened


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
