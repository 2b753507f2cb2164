"""The processes of a run: workers and API servers, started again when they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import ReleaseTooOld
from jobfleet_contracts.lease import LockScope
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.protocol_level import PROTOCOL_LEVEL
from jobfleet_contracts.rate import Rate
from jobfleet_protocol.actions.callbacks import Callbacks
from jobfleet_protocol.actions.signing_keys import SigningKeys
from jobfleet_protocol.actions.target_keys import TargetKeys
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.reading.group_reader import GroupReader
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker
from tests.simulation.fake_broker import SILENT_SECONDS
from tests.simulation.faults import Breakage
from tests.simulation.invented_release import LEVELS, NEXT_LEVEL
from tests.simulation.journal import Journal
from tests.simulation.process import Process, ProcessClock
from tests.simulation.process_places import need_places
from tests.simulation.scenario import Scenario
from tests.simulation.servers import Servers
from tests.simulation.sim_handlers import Ask, handlers_for
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.witness import Witness

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=2, retry_max_seconds=60, timeout_seconds=600
)

CALLBACK_SECRET = "a secret that the third party shares"
KEYS = SigningKeys((CALLBACK_SECRET,))

DeadlyKey = Callable[[Process, dict[str, Any]], str]

FOR_EVER = 1e9

ALONE_SECONDS = 10.0
"""Less than the jobs of a crowd take: the first wait of a suspect is too short for them."""

NO_HANDLER_SECONDS = 600.0
"""Longer than every silence of the worker that has the handler."""


class Api:
    """What a process that serves the API holds."""

    def __init__(self, *, process: Process, backend: Backend, erasure_seconds: float) -> None:
        clock = process.clock
        self.process = process
        self.backend = backend
        writes = WriteSide.wire(
            backend=backend,
            clock=clock,
            defaults=DEFAULTS,
            looks_for_keys=False,
            levels=LEVELS,
            erasure_seconds=erasure_seconds,
        )
        self.writer = writes.writer
        self.submitter = writes.submitter
        self.canceller = writes.canceller
        self.redriver = writes.redriver
        self.eraser = writes.eraser
        self.groups = writes.groups
        self.group_reader = GroupReader(
            trail=backend.trail, payloads=backend.payloads, marks=backend.marks
        )
        self.schedules = Schedules(
            log=backend.control_log,
            trail=backend.trail,
            submitter=self.submitter,
            clock=clock,
            most=None,  # the requests that count them would move the seeds of deliberate bugs
        )
        self.pauses = Pauses(log=backend.control_log, control=backend.control, clock=clock)
        self.limits = Limits(
            log=backend.control_log, control=backend.control, clock=clock, most=None
        )
        self.callbacks = Callbacks(
            trail=backend.trail,
            payloads=backend.payloads,
            writer=writes.writer,
            ending=writes.ending,
            clock=clock,
            keys=TargetKeys((CALLBACK_SECRET,), {}),
            seal=writes.seal,
        )


class Fleet:
    """Starts processes, and starts them again.

    Attributes:
        workers, apis: those that live or stand still now, by name of their place.
        deaths: of a worker's own error, which never may happen.
        ask: what the third party does with a request.
        deadly_key: makes the lock key that a worker reads before it claims a deadly job.
    """

    def __init__(
        self,
        *,
        scenario: Scenario,
        time: VirtualTime,
        servers: Servers,
        witness: Witness,
        journal: Journal,
    ) -> None:
        self.workers: dict[str, Process] = {}
        self.apis: dict[str, Api] = {}
        self.all: list[Process] = []
        self.deaths: list[str] = []
        self.wall_offsets: dict[str, float] = {}
        self.is_closing = False
        self.ask: Ask = lambda *_: None
        self.deadly_key: DeadlyKey | None = None
        self._scenario = scenario
        self._time = time
        self._servers = servers
        self._witness = witness
        self._journal = journal
        self._dice = Random(f"fleet/{scenario.seed}")
        self._scopes = Random(f"scopes/{scenario.seed}")
        self._generation = 0
        self._updated: set[str] = set()
        self._gone: set[str] = set()

    def start(self) -> None:
        """Start every place."""
        for number in range(self._scenario.workers):
            self._start_worker(f"w{number}")
        for number in range(self._scenario.apis):
            self._start_api(f"api{number}")
        if self._scenario.old_workers:
            dice = Random(f"update/{self._scenario.seed}")
            self._time.after(dice.uniform(0.2, 1.2) * self._scenario.fault_seconds, self.update)

    def stop_workers(self) -> None:
        """Ask all workers to drain and end, and start none again."""
        self.is_closing = True
        for process in self.workers.values():
            if process.worker is not None:
                process.worker.request_stop()

    def break_for_good(self, broken: Mapping[str, Breakage]) -> None:
        """Let these places stand still, or vanish and never come back; the others are cut off."""
        self._gone = {place for place, what in broken.items() if what is Breakage.GONE}
        for place, what in broken.items():
            process = self.workers[place]
            if what is Breakage.STANDS_STILL:
                process.pause(FOR_EVER)
            elif what is Breakage.NO_BROKER:
                self._time.after(SILENT_SECONDS, partial(self._drop, process))
            elif what is Breakage.GONE:
                process.crash()

    def processes(self) -> list[Process]:
        """Return all that live or stand still."""
        return [*self.workers.values(), *(api.process for api in self.apis.values())]

    def worker_locks(self) -> frozenset[str]:
        """Return the locks on which live workers of scope ``worker`` let new claims rest."""
        locks = {process.own_lock for process in self.workers.values() if process.is_alive}
        return frozenset(lock for lock in locks if lock is not None)

    def problems(self) -> list[str]:
        """Return what was not caught, in any loop of any process."""
        loops = [loop for p in self.all for loop in (p.loop, p.renewal_loop)]
        return [
            f"{loop.name}: {text}: {error!r}" for loop in loops for text, error in loop.problems
        ]

    def throw_away(self) -> None:
        """Drop all that still hangs in the loops."""
        for process in self.all:
            process.loop.close_tasks()
            process.renewal_loop.close_tasks()

    def _process(self, place: str) -> Process:
        self._generation += 1
        skew = self._dice.uniform(-0.2, 0.2)
        clock = ProcessClock(
            time=self._time,
            wall_offset=timedelta(seconds=self.wall_offsets.get(place, 0.0) + skew),
            boot_offset=self._dice.uniform(0, 1e6),
        )
        process = Process(name=f"{place}.{self._generation}", time=self._time, clock=clock)
        self.all.append(process)
        self._journal.note(process.name, "process.starts", clock.wall_offset)
        return process

    def _start_worker(self, place: str) -> None:
        process = self._process(place)
        scenario = self._scenario
        process.is_old = self._is_old(place)
        process.worker = Worker(
            backend=self._servers.backend(process),
            handlers=handlers_for(
                process,
                witness=self._witness,
                wire=self._servers.wire(process),
                ask=self.ask,
                lacks_jobs=int(place[1:]) < scenario.lacking,
                rate=None if scenario.rate is None else Rate(scenario.rate),
                deadly_key=None if self.deadly_key is None else partial(self.deadly_key, process),
            ),
            options=WorkerOptions(
                defaults=DEFAULTS,
                concurrency=scenario.concurrency,
                lock_scope=self._scope(),
                lease_seconds=scenario.lease_seconds,
                renew_seconds=scenario.lease_seconds / 3,
                rescue_seconds=scenario.rescue_seconds,
                defer_seconds=scenario.defer_seconds,
                drain_seconds=scenario.drain_seconds,
                no_handler_seconds=NO_HANDLER_SECONDS,
                grace_seconds=scenario.grace_seconds,
                alone_seconds=ALONE_SECONDS,
                heartbeat_seconds=5
                if scenario.pauses or scenario.limits or scenario.full_limit or scenario.old_workers
                else 60,
                version="this" if process.is_old else "next",
                level=PROTOCOL_LEVEL if process.is_old else NEXT_LEVEL,
                retention_days=_days(scenario.retention_seconds),
                worker_id=process.name,
                host=place,
                pid=self._generation,
            ),
            clock=process.clock,
            renewal_loop=process.renewal_loop,
        )
        if scenario.processes is not None:
            need_places(process.worker, scenario.processes)
        self.workers[place] = process
        process.on_silence = lambda: self._fell_silent(place, process, self._start_worker)
        run = process.loop.create_task(process.worker.run(), name="worker")
        run.add_done_callback(lambda task: self._ended(place, process, task.exception()))

    def _is_old(self, place: str) -> bool:
        return place not in self._updated and int(place[1:]) < self._scenario.old_workers

    def update(self) -> None:
        """Update every worker to the next release: each drains and starts again."""
        for place, process in self.workers.items():
            self._updated.add(place)
            if process.is_old and process.worker is not None and process.is_alive:
                process.worker.request_stop()

    def _scope(self) -> LockScope:
        if self._scenario.fleet_scope:
            return "fleet"
        return "worker" if self._scopes.random() < self._scenario.worker_scope else "job"

    def _start_api(self, place: str) -> None:
        process = self._process(place)
        self.apis[place] = Api(
            process=process,
            backend=self._servers.backend(process),
            erasure_seconds=self._scenario.erasure_seconds,
        )
        process.on_silence = lambda: self._fell_silent(place, process, self._start_api)

    def _ended(self, place: str, process: Process, error: BaseException | None) -> None:
        """A worker's ``run`` has returned: the process ends."""
        self._journal.note(process.name, "process.ended", error or "")
        if isinstance(error, ReleaseTooOld) and process.is_old:
            self._updated.add(place)  # the error says what to do
        elif error is not None:
            self.deaths.append(f"{process.name} died of {error!r}")
        process.crash()

    def _fell_silent(self, place: str, process: Process, again: Callable[[str], None]) -> None:
        self._journal.note(process.name, "process.silent", "" if process.is_alive else "for good")
        if process.is_alive:
            self._time.after(SILENT_SECONDS, lambda: self._disconnect_if_silent(process))
            return
        self._time.after(self._dice.choice((0.1, 1, 30)), lambda: self._disconnect(process))
        if self.is_closing or process.name.partition(".")[0] in self._gone:
            return
        self._time.after(self._dice.uniform(0.5, 30), lambda: again(place))

    def _disconnect_if_silent(self, process: Process) -> None:
        if not process.is_awake:
            self._drop(process)

    def _drop(self, process: Process) -> None:
        for consumer in self._servers.broker.consumers():
            if consumer.process is process:
                self._servers.broker.drop(consumer)

    def _disconnect(self, process: Process) -> None:
        for consumer in self._servers.broker.consumers():
            if consumer.process is process:
                self._servers.broker.disconnect(consumer)


def _days(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 86_400
