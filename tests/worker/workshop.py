"""Workers and their clients on one embedded backend, all on the loop of the test."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.transitions import Change, draft
from jobfleet_worker.builtin.demo_steps import demo_steps
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.run.job_run import JobRun
from jobfleet_worker.worker import Worker
from tests.polling import eventually
from tests.protocol.faulty_port import FaultyPort

LEASE_SECONDS = 4.0
DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=0.02, retry_max_seconds=1, timeout_seconds=30
)
OPTIONS = WorkerOptions(
    defaults=DEFAULTS,
    lease_seconds=LEASE_SECONDS,
    renew_seconds=0.7,
    rescue_seconds=0.2,
    defer_seconds=1,
    drain_seconds=5,
    grace_seconds=0.3,
    heartbeat_seconds=0.5,
)


def all_stacks() -> str:
    """Where every task of the loop stands."""
    text = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=text)
    return text.getvalue()


class RunningWorker:
    """A worker and the task in which it runs."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._task = asyncio.create_task(worker.run(), name="worker under test")

    async def run_of(self, job_id: str) -> JobRun:
        """Return the job's run; it begins some time after its claim stands in the trail."""

        async def found() -> JobRun | None:
            return self.worker.executor.running.get(job_id)

        return await eventually(f"the run of job {job_id}", found)

    async def stop(self, seconds: float = 120) -> float:
        """Drain it; returns how long that took."""
        began = time.monotonic()
        self.worker.request_stop()
        await asyncio.wait_for(asyncio.shield(self._task), seconds)
        return time.monotonic() - began

    async def ended(self, seconds: float = 120) -> None:
        """Wait until it has ended by itself, and raise what it raised."""
        await asyncio.wait_for(asyncio.shield(self._task), seconds)

    async def end(self) -> None:
        """Leave nothing behind, whatever the test did to it."""
        self.worker.executor.stop_all()
        self.worker.request_stop()
        done, _ = await asyncio.wait({self._task}, timeout=30)
        stacks = "" if done else all_stacks()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        assert done, f"the worker did not stop\n{stacks}"


class Workshop:
    """One backend, clients of it, and the workers that a test starts.

    Attributes:
        trail, leases, queue, index, directory, marks: the ports, to be spoiled by the test;
            workers use them.
    """

    def __init__(self, backend: Backend, clock: Clock, options: WorkerOptions = OPTIONS) -> None:
        self._options = options
        self.trail = FaultyPort(backend.trail)
        self.leases = FaultyPort(backend.leases)
        self.queue = FaultyPort(backend.queue)
        self.index = FaultyPort(backend.index)
        self.control = FaultyPort(backend.control)
        self.control_log = FaultyPort(backend.control_log)
        self.directory = FaultyPort(backend.directory)
        self.logs = FaultyPort(backend.logs)
        self.marks = FaultyPort(backend.marks)
        self._ports = (
            self.trail,
            self.leases,
            self.queue,
            self.index,
            self.control,
            self.directory,
            self.marks,
            self.control_log,
            self.logs,
        )
        self.backend = replace(
            backend,
            openings=None,  # in three steps, as on Azure: each can be spoiled
            trail=self.trail,
            leases=self.leases,
            queue=self.queue,
            index=self.index,
            control=self.control,
            directory=self.directory,
            marks=self.marks,
            control_log=self.control_log,
            logs=self.logs,
        )
        self.real = backend
        self.clock = clock
        direct = WriteSide.wire(backend=backend, clock=clock, defaults=DEFAULTS)
        self.submitter, self.redriver = direct.submitter, direct.redriver
        self.eraser = direct.eraser
        # The fleet's own requests meet faults; those of the test do not, but for the cancel.
        self.canceller = WriteSide.wire(
            backend=self.backend, clock=clock, defaults=DEFAULTS
        ).canceller
        self._workers: list[RunningWorker] = []

    async def close(self) -> None:
        for each in self._ports:
            each.heal()
        await asyncio.gather(*(worker.end() for worker in self._workers))

    def start_worker(self, *functions: Callable[..., Any], **options: Any) -> RunningWorker:
        """Start one with the built-in handlers and these; options as in ``WorkerOptions``."""
        handlers = Handlers.of(demo_steps, *functions)
        offset = options.pop("clock_offset", lambda: 0.0)
        chosen = replace(self._options, **{"worker_id": f"w{len(self._workers) + 1}"} | options)
        backend = replace(self.backend, clock_offset=offset)
        worker = Worker(backend=backend, handlers=handlers, options=chosen, clock=self.clock)
        self._workers.append(RunningWorker(worker))
        return self._workers[-1]

    def spoil_source(self, running: RunningWorker) -> FaultyPort:
        """Put a faulty port before the worker's deliveries."""
        source = FaultyPort(running.worker._receiving.source)
        running.worker._receiving.source = source  # type: ignore[assignment]
        running.worker._running.consumer._source = source
        running.worker._running.fleet_scope._source = source
        return source

    async def submit(self, job_type: str, payload: Any = None, **fields: Any) -> str:
        request = JobRequest(type=job_type, payload=payload, **fields)
        return (await self.submitter.submit(request)).job_id

    async def submit_unpublished(self, job_type: str, payload: Any = None) -> JobRequest:
        """Submit a job whose message was lost, so that no worker knows of it yet."""
        queue: Any = FaultyPort(self.real.queue)
        queue.lose_request("publish")
        request = JobRequest(type=job_type, payload=payload)
        backend = replace(self.real, queue=queue, openings=None)
        side = WriteSide.wire(backend=backend, clock=self.clock, defaults=DEFAULTS)
        await side.submitter.submit(request)
        return request

    async def append(self, job_id: str, *changes: Change, at: datetime | None = None) -> Event:
        """Write events to a job's trail as a worker would; returns the last."""
        events = [await self.head(job_id)]
        for change in changes:
            now = at or self.clock.now()
            events.append(draft(events[-1], events[0].facts, change, occurred_at=now))
        side = WriteSide.wire(backend=self.real, clock=self.clock, defaults=DEFAULTS)
        assert await side.writer.append(events[1:]) is None
        return events[-1]

    async def history(self, job_id: str) -> Sequence[Event]:
        return await self.real.trail.history(job_id, limit=10_000)

    async def statuses(self, job_id: str) -> list[str]:
        return [event.status for event in await self.history(job_id)]

    async def head(self, job_id: str) -> Event:
        head = await self.real.trail.newest(job_id)
        assert head is not None
        return head

    async def until_state(self, job_id: str, *states: State, seconds: float = 120) -> Event:
        """Wait for one of the states; returns the newest event with its data."""

        async def reached() -> Event | None:
            head = await self.real.trail.newest(job_id)
            return head if head is not None and head.after.state in states else None

        named = " or ".join(states)
        head: Event = await eventually(f"job {job_id} is {named}", reached, seconds=seconds)
        return await resolve(head, self.real.payloads)

    async def until_ended(self, job_id: str, seconds: float = 120) -> Event:
        ended = [state for state in State if state.is_terminal]
        return await self.until_state(job_id, *ended, seconds=seconds)

    async def run(self, job_type: str, payload: Any = None, **fields: Any) -> Event:
        """Submit a job and return its last event."""
        return await self.until_ended(await self.submit(job_type, payload, **fields))

    async def verified(self) -> None:
        """Fail with each rule that the stored trail breaks."""
        verifier = Verifier()
        async for history in self.real.trail.scan():
            verifier.add(history)
        found = verifier.finish()
        assert not found, "\n".join(map(str, found))
