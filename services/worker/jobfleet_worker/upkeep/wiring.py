"""Wires what a worker does beside its jobs, each part over the ports it needs; starts nothing."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_contracts.backend import MOST_CLOCK_OFFSET
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.control.used_level import UsedLevels
from jobfleet_worker.run.executor import Executor
from jobfleet_worker.upkeep.code_schedules import CodeSchedules
from jobfleet_worker.upkeep.duties import Duties
from jobfleet_worker.upkeep.election import Election
from jobfleet_worker.upkeep.heartbeat import Heartbeat
from jobfleet_worker.upkeep.level_check import LevelCheck
from jobfleet_worker.upkeep.rescuer import Rescuer
from jobfleet_worker.upkeep.retention import Retention
from jobfleet_worker.upkeep.scheduler import Scheduler
from jobfleet_worker.wiring import Claiming, Receiving, WorkerSetup


@dataclass(slots=True, kw_only=True)
class Upkeep:
    """What a worker does beside its jobs: for itself, and for the fleet while it leads."""

    heartbeat: Heartbeat
    level_check: LevelCheck
    code_schedules: CodeSchedules
    leadership: Election


def wire_upkeep(
    setup: WorkerSetup, receiving: Receiving, claiming: Claiming, executor: Executor
) -> Upkeep:
    """Wire what goes on beside the jobs."""
    backend, options, clock = setup.backend, setup.options, setup.clock
    schedules = Schedules(
        log=backend.control_log,
        trail=backend.trail,
        submitter=setup.writes.submitter,
        clock=clock,
    )
    heartbeat = Heartbeat(
        directory=backend.directory,
        circuits=setup.outbound.circuits,
        executor=executor,
        handlers=setup.handlers,
        options=options,
        clock=clock,
        clock_offset=backend.clock_offset,
        leads=lambda: leadership.leads,
    )
    duties = Duties(
        rescuer=_rescuer(setup, receiving),
        retention=_retention(setup),
        scheduler=Scheduler(schedules=schedules, clock=clock, clock_offset=backend.clock_offset),
        pauses=receiving.pauses,
        pause_watch=receiving.pause_watch,
        index=backend.index,
        rates=backend.rates,
        directory=backend.directory,
        clock=clock,
        rescue_seconds=options.rescue_seconds,
        seal=setup.writes.seal,
    )
    leadership = Election(
        duties=duties.each(),
        claimer=claiming.claimer,
        keeper=claiming.keeper,
        leases=backend.leases,
        pause_seconds=options.rescue_seconds,
        is_reluctant=lambda: abs(backend.clock_offset()) > MOST_CLOCK_OFFSET,
    )
    return Upkeep(
        heartbeat=heartbeat,
        level_check=LevelCheck(
            used=UsedLevels(log=backend.control_log, clock=clock),
            heartbeat=heartbeat,
            options=options,
        ),
        code_schedules=CodeSchedules(
            handlers=setup.handlers,
            schedules=schedules,
            directory=backend.directory,
            heartbeat=heartbeat,
            clock=clock,
        ),
        leadership=leadership,
    )


def _rescuer(setup: WorkerSetup, receiving: Receiving) -> Rescuer:
    backend = setup.backend
    return Rescuer(
        trail=backend.trail,
        index=backend.index,
        reader=backend.reader,
        leases=backend.leases,
        locks=backend.locks,
        queue=backend.queue,
        payloads=backend.payloads,
        ending=setup.writes.ending,
        eraser=setup.writes.eraser,
        publication=setup.writes.publication,
        clock=setup.clock,
        pauses=receiving.pause_watch.current,
        deliver_here=receiving.source.hand,
    )


def _retention(setup: WorkerSetup) -> Retention | None:
    days, store = setup.options.retention_days, setup.backend.retention
    if days is None or store is None:
        return None
    return Retention(
        trail=setup.backend.trail,
        payloads=setup.backend.payloads,
        logs=setup.backend.logs,
        marks=setup.backend.marks,
        store=store,
        clock=setup.clock,
        days=days,
    )
