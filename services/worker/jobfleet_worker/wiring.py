"""Wires what takes, claims and runs jobs, each part over the ports it needs; starts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.internal_job import GROUP_CANCEL_TYPE
from jobfleet_contracts.ports import Clock, RenewalLeases
from jobfleet_protocol.actions.successors import with_results
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.claiming.claim_parts import ClaimParts, FleetControls, JobRules
from jobfleet_protocol.claiming.claim_result import Unclear
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.rate_limiter import RateLimiter
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.type_keys import TypeKeys
from jobfleet_publisher.publisher import Publisher
from jobfleet_worker.builtin.calling_handlers import calling_handlers
from jobfleet_worker.builtin.group_cancel import GroupCancelHandler
from jobfleet_worker.handlers.open_hooks import OpenHooks
from jobfleet_worker.handlers.registry import Handlers, undeclared
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.outbound.http_client import HttpClient
from jobfleet_worker.processes.pool import ProcessPool, process_pool
from jobfleet_worker.run.cancel_listener import CancelListener
from jobfleet_worker.run.claim_gates import ClaimGates
from jobfleet_worker.run.consumer import Consumer
from jobfleet_worker.run.counted_leases import CountedLeases, CountedRenewals
from jobfleet_worker.run.deferral import Deferral
from jobfleet_worker.run.executor import Executor
from jobfleet_worker.run.exempt_jobs import ExemptJobs
from jobfleet_worker.run.fleet_scope import FleetScope
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.give_back import GiveBack
from jobfleet_worker.run.handed_messages import HandedMessages
from jobfleet_worker.run.handler_gate import HandlerGate
from jobfleet_worker.run.lease_keeper import LeaseKeeper, OpenLeases
from jobfleet_worker.run.message_claims import MessageClaims
from jobfleet_worker.run.message_source import MessageSource
from jobfleet_worker.run.pause_watch import PauseWatch
from jobfleet_worker.run.process_gate import ProcessGate
from jobfleet_worker.run.rate_gate import RateGate
from jobfleet_worker.run.recycling import Recycling
from jobfleet_worker.run.run_parts import RunParts
from jobfleet_worker.run.run_tally import RunTally
from jobfleet_worker.run.slots import Slots
from jobfleet_worker.run.start_terms import HandlerTerms
from jobfleet_worker.run.storage_patience import StoragePatience
from jobfleet_worker.run.unclaimed_messages import UnclaimedMessages
from jobfleet_worker.run.worker_lock import WorkerLock
from jobfleet_worker.upkeep.announced_keys import AnnouncedKeys
from jobfleet_worker.upkeep.lock_waiters import LockWaiters


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """What the parts of a worker are built on.

    Attributes:
        handlers: the user's and the built-in ones.
        outbound: calls other people's servers for the built-in ones.
        writes: what changes jobs.
    """

    backend: Backend
    handlers: Handlers
    options: WorkerOptions
    clock: Clock
    metrics: Metrics
    outbound: HttpClient
    hooks: OpenHooks
    writes: WriteSide

    @classmethod
    def of(
        cls,
        *,
        backend: Backend,
        handlers: Handlers,
        options: WorkerOptions,
        clock: Clock,
        metrics: Metrics,
    ) -> WorkerSetup:
        """Return the setup of one worker."""
        if metrics is not NO_METRICS:
            counted = CountedLeases(leases=backend.leases, metrics=metrics)
            backend = replace(backend, leases=counted)
        outbound = HttpClient(options=options.outbound, clock=clock)
        writes = WriteSide.wire(backend=backend, clock=clock, defaults=options.defaults)
        group_cancel = GroupCancelHandler(canceller=writes.group_canceller)
        handlers = handlers.with_built_in(
            undeclared(GROUP_CANCEL_TYPE, group_cancel.run),
            *calling_handlers(
                outbound, clock, trail=backend.trail, payloads=backend.payloads, coder=backend.coder
            ),
        )
        metrics.types_known(handlers.types)
        return cls(
            backend=backend,
            handlers=handlers,
            options=options,
            clock=clock,
            metrics=metrics,
            outbound=outbound,
            hooks=OpenHooks(handlers.hooks, handlers.wanted(in_process=False)),
            writes=writes,
        )

    def publisher(self) -> Publisher:
        """Return what handlers submit jobs with."""
        return Publisher(backend=self.backend, clock=self.clock, defaults=self.options.defaults)


@dataclass(slots=True, kw_only=True)
class Receiving:
    """How messages come, and what holds them back."""

    pauses: Pauses
    pause_watch: PauseWatch
    source: MessageSource


@dataclass(slots=True, kw_only=True)
class Claiming:
    """How a message's job becomes this worker's own, and what it is held with."""

    rates: RateLimiter
    terms: HandlerTerms
    announced_keys: AnnouncedKeys
    claimer: Claimer
    keeper: LeaseKeeper
    worker_lock: WorkerLock
    give_back: GiveBack


@dataclass(slots=True, kw_only=True)
class Running:
    """How claimed jobs run."""

    processes: ProcessPool
    executor: Executor
    consumer: Consumer
    cancel_listener: CancelListener
    fleet_scope: FleetScope


def wire_receiving(setup: WorkerSetup) -> Receiving:
    """Wire what receives messages."""
    backend, options, clock = setup.backend, setup.options, setup.clock
    pauses = Pauses(log=backend.control_log, control=backend.control, clock=clock)

    async def apply_pauses(found: FleetPauses) -> None:
        source.leave_out(frozenset(found.queues))
        await exempt_jobs.start(found)

    pause_watch = PauseWatch(
        pauses=pauses,
        limits=Limits(log=backend.control_log, control=backend.control, clock=clock),
        control=backend.control,
        changed=apply_pauses,
        aliases=setup.handlers.aliases,
        clock=clock,
        heartbeat_seconds=options.heartbeat_seconds,
    )
    handed = HandedMessages(
        leases=backend.leases,
        locks=backend.locks,
        clock=clock,
        lease_seconds=options.lease_seconds,
    )
    source = MessageSource(consumer=backend.consumer(), pauses=pause_watch, handed=handed)
    exempt_jobs = ExemptJobs(
        trail=backend.trail,
        payloads=backend.payloads,
        clock=clock,
        queues=options.queues,
        types=setup.handlers.types,
        deliver_here=source.hand,
    )
    return Receiving(pauses=pauses, pause_watch=pause_watch, source=source)


def wire_claiming(
    setup: WorkerSetup, receiving: Receiving, *, renewal_loop: asyncio.AbstractEventLoop | None
) -> Claiming:
    """Wire what claims jobs.

    Args:
        renewal_loop: renews leases instead of a thread of its own.
    """
    backend, options, clock = setup.backend, setup.options, setup.clock
    keeper = LeaseKeeper(
        open_leases=_renewals(backend.renewal_leases, setup.metrics),
        lease_seconds=options.lease_seconds,
        renew_seconds=options.renew_seconds,
        clock=clock,
        loop=renewal_loop,
        metrics=setup.metrics,
    )
    rates = RateLimiter(store=backend.rates, clock=clock, clock_offset=backend.clock_offset)
    terms = HandlerTerms(
        handlers=setup.handlers,
        limits=receiving.pause_watch.limits,
        fill=partial(
            with_results, trail=backend.trail, payloads=backend.payloads, coder=backend.coder
        ),
        coder=backend.coder,
    )
    type_keys = TypeKeys(log=backend.control_log, clock=clock)
    announced_keys = AnnouncedKeys(
        handlers=setup.handlers, keys=type_keys, clock=clock, coder=backend.coder
    )

    def give_back_unclear(claim: Unclear) -> None:
        give_back.unclear(claim)

    claimer = _claimer(
        setup,
        receiving.pause_watch,
        rates=rates,
        terms=terms,
        announced_keys=announced_keys,
        give_back=give_back_unclear,
    )
    worker_lock = WorkerLock(
        locks=claimer.leases,
        leases=backend.leases,
        keeper=keeper,
        worker_id=options.worker_id,
        lease_seconds=options.lease_seconds,
    )
    give_back = GiveBack(
        trail=backend.trail,
        writer=setup.writes.writer,
        clock=clock,
        worker_id=options.worker_id,
        lease_seconds=options.lease_seconds,
        retire=worker_lock.retire,
    )
    return Claiming(
        rates=rates,
        terms=terms,
        announced_keys=announced_keys,
        claimer=claimer,
        keeper=keeper,
        worker_lock=worker_lock,
        give_back=give_back,
    )


def _claimer(
    setup: WorkerSetup,
    pause_watch: PauseWatch,
    *,
    rates: RateLimiter,
    terms: HandlerTerms,
    announced_keys: AnnouncedKeys,
    give_back: Callable[[Unclear], None],
) -> Claimer:
    backend, options = setup.backend, setup.options
    parts = ClaimParts(
        trail=backend.trail,
        leases=backend.leases,
        locks=backend.locks,
        index=backend.index,
        payloads=backend.payloads,
        writer=setup.writes.writer,
        publication=setup.writes.publication,
        clock=setup.clock,
        worker_id=options.worker_id,
        lease_seconds=options.lease_seconds,
        rules=JobRules(
            defaults=options.defaults,
            attempt_limit=terms.attempts,
            takeover_limit=terms.takeovers,
            terms=terms.of,
            keys=announced_keys.missing,
            fresh=options.fresh,
        ),
        controls=FleetControls(
            pauses=pause_watch.current,
            limits=pause_watch.limits,
            rates=rates,
            seal=setup.writes.seal,
        ),
        give_back=give_back,
        coder=backend.coder,
        claims=backend.claims,
    )
    return Claimer(parts)


def wire_running(
    setup: WorkerSetup, receiving: Receiving, claiming: Claiming, *, stop: Callable[[], None]
) -> Running:
    """Wire what runs jobs.

    Args:
        stop: asks the worker to stop, once it has run enough jobs or uses too much memory.
    """
    backend, options = setup.backend, setup.options
    deferral = Deferral(
        queue=backend.queue,
        index=backend.index,
        writer=setup.writes.writer,
        clock=setup.clock,
        first_seconds=options.defer_seconds,
        metrics=setup.metrics,
    )
    handler_gate = HandlerGate(
        trail=backend.trail,
        leases=backend.leases,
        directory=backend.directory,
        deferral=deferral,
        handlers=setup.handlers,
        options=options,
        clock=setup.clock,
        coder=backend.coder,
    )
    slots = Slots(options.slots, clock=setup.clock, alone_seconds=options.alone_seconds)
    processes = process_pool(
        setup.handlers.process_modules,
        hook_modules=setup.hooks.modules,
        size=min(options.processes, slots.total),
        max_jobs=options.max_jobs_per_process,
        max_mib=options.max_mib_per_process,
        set_up=options.set_up_process,
    )
    recycling = Recycling(max_jobs=options.max_jobs, max_memory_mb=options.max_memory_mb, stop=stop)
    parts = _run_parts(setup, receiving, claiming, handler_gate, slots, processes)
    executor = Executor(parts=parts, ended=recycling.job_ended)
    consumer = _consumer(setup, receiving, claiming, parts, executor, deferral)
    return Running(
        processes=processes,
        executor=executor,
        consumer=consumer,
        cancel_listener=CancelListener(control=backend.control, executor=executor),
        fleet_scope=FleetScope(
            claimer=claiming.claimer,
            consumer=consumer,
            source=receiving.source,
            leases=backend.leases,
            keeper=claiming.keeper,
            clock=setup.clock,
        ),
    )


def _run_parts(
    setup: WorkerSetup,
    receiving: Receiving,
    claiming: Claiming,
    handler_gate: HandlerGate,
    slots: Slots,
    processes: ProcessPool,
) -> RunParts:
    backend, leases = setup.backend, claiming.claimer.leases
    lock_waiters = LockWaiters(
        trail=backend.trail,
        reader=backend.reader,
        locks=backend.locks,
        payloads=backend.payloads,
        publication=setup.writes.publication,
        clock=setup.clock,
        pauses=lambda: receiving.pause_watch.latest,
    )
    return RunParts(
        trail=backend.trail,
        payloads=backend.payloads,
        clock=setup.clock,
        options=setup.options,
        handlers=setup.handlers,
        metrics=setup.metrics,
        keeper=claiming.keeper,
        leases=leases,
        follow_up=FollowUp(
            leases=leases,
            ending=setup.writes.ending,
            publication=setup.writes.publication,
            lock_waiters=lock_waiters,
            clock=setup.clock,
        ),
        no_more_starts=asyncio.Event(),
        handler_gate=handler_gate,
        rates=claiming.rates,
        slots=slots,
        tally=RunTally(),
        hooks=setup.hooks,
        processes=processes,
        give_back=claiming.give_back,
        retire_lock=claiming.worker_lock.retire,
        logs=backend.logs if setup.options.job_logs else None,
        coder=backend.coder,
    )


def _consumer(
    setup: WorkerSetup,
    receiving: Receiving,
    claiming: Claiming,
    parts: RunParts,
    executor: Executor,
    deferral: Deferral,
) -> Consumer:
    backend, clock = setup.backend, setup.clock
    patience = StoragePatience(seconds=setup.options.lease_seconds)
    rate_gate = RateGate(
        trail=backend.trail,
        rates=claiming.rates,
        terms=claiming.terms.of,
        deferral=deferral,
        clock=clock,
    )
    process_gate = ProcessGate(
        trail=backend.trail,
        leases=backend.leases,
        deferral=deferral,
        handlers=setup.handlers,
        pool=parts.processes,
        slots=parts.slots,
        clock=clock,
    )
    return Consumer(
        source=receiving.source,
        seal=setup.writes.seal,
        slots=parts.slots,
        gates=ClaimGates(
            handler_gate=parts.handler_gate,
            rate_gate=rate_gate,
            process_gate=process_gate,
            patience=patience,
        ),
        claims=MessageClaims(
            claimer=claiming.claimer,
            seal=setup.writes.seal,
            worker_lock=claiming.worker_lock if setup.options.lock_scope == "worker" else None,
            patience=patience,
        ),
        executor=executor,
        unclaimed=UnclaimedMessages(
            deferral=deferral,
            rate_gate=rate_gate,
            index=backend.index,
            ending=setup.writes.ending,
            dead_letters=backend.dead_letters,
            clock=clock,
            patience=patience,
            coder=backend.coder,
        ),
        index=backend.index,
        patience=patience,
        metrics=setup.metrics,
    )


def _renewals(open_leases: OpenLeases, metrics: Metrics) -> OpenLeases:
    def opened() -> tuple[RenewalLeases, Callable[[], Awaitable[None]]]:
        leases, close = open_leases()
        return CountedRenewals(leases=leases, metrics=metrics), close

    return open_leases if metrics is NO_METRICS else opened
