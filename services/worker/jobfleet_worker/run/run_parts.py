"""What every run of a worker shares.

A worker makes a :class:`JobRun` for each job that it claims. These parts are made once, in
``wiring.py``, and each run uses nearly all of them. Without this class the executor, which makes
the runs, would take and pass on each part by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.ports import AuditTrail, Clock, PayloadStore
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.claiming.lock_leases import LockLeases
from jobfleet_protocol.claiming.rate_limiter import RateLimiter
from jobfleet_worker.handlers.open_hooks import OpenHooks
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.metrics.port import Metrics
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.processes.pool import ProcessPool
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.give_back import GiveBack
from jobfleet_worker.run.handler_gate import HandlerGate
from jobfleet_worker.run.lease_keeper import LeaseKeeper
from jobfleet_worker.run.run_tally import RunTally
from jobfleet_worker.run.slots import Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """The parts that a worker gives to each of its runs.

    Attributes:
        keeper: renews the lease of the run's lock, and those of its lock slots.
        leases: gives leases up at the end of the run.
        follow_up: does what an ended attempt owes: followers, releases, the open row.
        no_more_starts: set once no job starts any more, so that no slot waits for a handler that
            was left behind.
        handler_gate: says whether a job without a handler is to fail.
        rates: keeps a reserved start, just before the handler begins.
        slots: the worker's; a handler that is left behind keeps its slot.
        tally: counts what the worker has run.
        give_back: sees to a claim that ended without an ending in the trail.
        retire_lock: releases a worker's own lock on which a job rests that cannot be ended.
        logs: keeps what handlers log; ``None``: nobody does.
        coder: decodes what handlers get, and encodes what they return, log and raise.
    """

    trail: AuditTrail
    payloads: PayloadStore
    clock: Clock
    options: WorkerOptions
    handlers: Handlers
    metrics: Metrics
    keeper: LeaseKeeper
    leases: LockLeases
    follow_up: FollowUp
    no_more_starts: asyncio.Event
    hooks: OpenHooks
    handler_gate: HandlerGate
    rates: RateLimiter
    slots: Slots
    tally: RunTally
    processes: ProcessPool
    give_back: GiveBack
    retire_lock: Callable[[str, str], None]
    logs: JobLogs | None
    coder: ValueCoder = NO_CODER
