"""What simulated jobs do; each job's payload holds its plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jobfleet_contracts.outcome import Waiting
from jobfleet_contracts.rate import Rate
from jobfleet_worker.builtin import passed_on as outbound
from jobfleet_worker.callback_wait import CallbackWait
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.handlers.registry import Handler, Handlers
from jobfleet_worker.handlers.verdicts import Defer, Fail
from tests.simulation.process import Process
from tests.simulation.wire import Wire
from tests.simulation.witness import Witness

JOB_TYPE = "sim.job"
DEADLY_TYPE = "sim.deadly"
CALLBACK_TYPE = "callback.deliver"
RIVAL = "rival"
"""In the payload of a job whose idempotency key another caller uses for another body."""


class SimulationError(Exception):
    """Raised on purpose."""


Ask = Callable[[str, int, dict[str, Any]], None]
LockKey = Callable[[dict[str, Any]], str]


def handlers_for(
    process: Process,
    *,
    witness: Witness,
    wire: Wire,
    ask: Ask,
    lacks_jobs: bool = False,
    rate: Rate | None = None,
    deadly_key: LockKey | None = None,
) -> Handlers:
    """Return the handlers of one process.

    Args:
        wire: carries requests to the third party.
        ask: what the third party does with one.
        lacks_jobs: an old worker, which does not know the type of the jobs yet.
        rate: of the type of the jobs.
        deadly_key: makes the lock key of a job of a type of its own, and may end the process.
    """

    async def run(payload: dict[str, Any], context: JobContext, wait: CallbackWait) -> Any:
        with witness.watch(process, context.job.job_id, context.epoch):
            if not context.facts.resuming:
                witness.started(process, context.job.job_id)
            witness.fields_seen.append((context.job.job_id, context.job.input_file_path))
            witness.bodies_seen.append((context.job.job_id, RIVAL in payload))
            witness.keys_seen.add(outbound.passed_on(context)["Idempotency-Key"])
            if "answer" in payload:
                return await _ask_and_wait(payload, context, wait, wire, ask)
            if "kill" in payload:
                await asyncio.sleep(payload["seconds"])
                witness.killed(process, context.job.job_id)
                process.crash()
                await asyncio.get_running_loop().create_future()
            return await _follow_plan(payload, context, process)

    async def deliver(payload: dict[str, Any], context: JobContext) -> dict[str, Any]:
        with witness.watch(process, context.job.job_id, context.epoch):
            await asyncio.sleep(0.1)
        return {"epoch": context.epoch}

    callbacks = Handler(job_type=CALLBACK_TYPE, function=deliver, run_in="loop")
    if lacks_jobs:
        return Handlers([callbacks])
    jobs = Handler(job_type=JOB_TYPE, function=run, run_in="loop", waits=True, rate=rate)
    if deadly_key is None:
        return Handlers([jobs, callbacks])
    deadly = Handler(job_type=DEADLY_TYPE, function=run, run_in="loop", lock_key=deadly_key)
    return Handlers([jobs, deadly, callbacks])


async def _ask_and_wait(
    plan: dict[str, Any], context: JobContext, wait: CallbackWait, wire: Wire, ask: Ask
) -> Waiting:
    """As ``external.call`` does it."""
    await asyncio.sleep(plan["seconds"])
    deadline = wait.deadline or await wait.enter(context.limit_seconds)
    job_id, incarnation = context.job.job_id, context.facts.incarnation
    await wire.write(
        "third_party.ask",
        lambda: ask(job_id, incarnation, plan),
        about=job_id[-4:],
        service="third party",
    )
    await wait.sent("the third party has it", {})
    return Waiting(deadline)


async def _follow_plan(
    plan: dict[str, Any], context: JobContext, process: Process
) -> dict[str, Any]:
    for step in range(1, plan["steps"] + 1):
        await asyncio.sleep(plan["seconds"])
        if plan.get("block") == step:
            process.block(plan["blockSeconds"])
            await asyncio.sleep(0)
        if plan.get("progress"):
            await context.progress(step, plan["steps"])
        if plan.get("checkpoint") == step:
            await context.checkpoint({"step": step, "epoch": context.epoch})
    _end_badly(plan, context)
    handed = {"handed": plan["handed"]} if "handed" in plan else {}
    return {"epoch": context.epoch, "text": "x" * plan.get("large", 0)} | handed


def _end_badly(plan: dict[str, Any], context: JobContext) -> None:
    if context.epoch <= plan.get("deferUntilEpoch", 0):
        raise Defer(plan["deferSeconds"], "on purpose")
    if plan.get("fatal"):
        raise Fail("on purpose")
    if context.attempt <= plan.get("failAttempts", 0):
        raise SimulationError(f"attempt {context.attempt} fails on purpose")
