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

    The record is flat because one class, :class:`JobRun`, reads it: groups would only lengthen
    each use. The order below is by role: storage, leases, handlers, time and places, the end.

    Attributes:
        logs: keeps what handlers log; ``None``: they are not kept.
        coder: decodes what handlers get, and encodes what they return, log and raise.
        keeper: renews the lease of the run's lock, and those of its lock slots.
        leases: gives leases up at the end of the run.
        give_back: sees to a claim that ended without an ending in the trail.
        retire_lock: releases a worker's own lock on which a job rests that cannot be ended.
        handler_gate: says whether a job without a handler is to fail.
        rates: keeps a reserved start, just before the handler begins.
        slots: the worker's; a handler that is left behind keeps its slot.
        no_more_starts: set once no job starts any more, so that no slot waits for a handler that
            was left behind.
        follow_up: does what an ended attempt owes: followers, releases, the open row.
        tally: counts what the worker has run.
    """

    trail: AuditTrail
    payloads: PayloadStore
    logs: JobLogs | None
    coder: ValueCoder = NO_CODER

    keeper: LeaseKeeper
    leases: LockLeases
    give_back: GiveBack
    retire_lock: Callable[[str, str], None]

    handlers: Handlers
    hooks: OpenHooks
    handler_gate: HandlerGate
    processes: ProcessPool

    options: WorkerOptions
    clock: Clock
    rates: RateLimiter
    slots: Slots
    no_more_starts: asyncio.Event

    follow_up: FollowUp
    tally: RunTally
    metrics: Metrics
