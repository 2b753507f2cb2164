"""A fleet of real worker processes on one backend, for tests that do things to processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings, load_settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.write_side import WriteSide
from tests.polling import eventually

LEASE_SECONDS = 15


class WorkerProcess:
    """One `jobfleet worker`, or another command, alone in its process group."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, command: Sequence[str] = ("worker",)
    ) -> None:
        self._log = log
        self._database = Path(environment.get("JOBFLEET_DATA_DIR", ".jobfleet")) / "jobfleet.db"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobfleet_cli", *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_died(self) -> bool:
        return self._process.poll() is not None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def put_to_sleep(self) -> None:
        """Stop the process; not inside a transaction of SQLite, which would stop all others too."""
        self.signal(signal.SIGSTOP)
        while not await asyncio.to_thread(_can_be_written, self._database):
            self.signal(signal.SIGCONT)
            await asyncio.sleep(0.05)
            self.signal(signal.SIGSTOP)

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def end(self) -> None:
        """Leave nothing behind, whatever state the test left it in."""
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)


class Fleet:
    """Settings of one backend, a client of it, and the workers that a test starts."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        self._folder = folder
        self._clock = SystemClock()
        self.workers: list[WorkerProcess] = []
        self.settings: Settings
        self.backend: Backend

    async def open(self) -> None:
        names = {k.removeprefix("JOBFLEET_").lower(): v for k, v in self._environment.items()}
        fields = Settings.model_fields
        self.settings = load_settings(**{k: v for k, v in names.items() if k in fields})
        self.backend = await open_backend(self.settings)
        self._submitter = WriteSide.wire(
            backend=self.backend, clock=self._clock, defaults=self.settings.job_defaults
        ).submitter

    async def close(self) -> None:
        for worker in self.workers:
            await asyncio.to_thread(worker.end)
        await self.backend.close()

    def start_worker(
        self, *, command: Sequence[str] = ("worker",), **settings: str
    ) -> WorkerProcess:
        names = {f"JOBFLEET_{name.upper()}": value for name, value in settings.items()}
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("JOBFLEET_")},
            **self._environment,
            **names,
        }
        log = self._folder / f"worker-{len(self.workers)}.log"
        worker = WorkerProcess(environment, log, command)
        self.workers.append(worker)
        return worker

    async def submit(self, job_type: str = "demo.steps", **fields: Any) -> str:
        request = JobRequest(type=job_type, job_id=new_id(), **fields)
        return (await self._submitter.submit(request)).job_id

    async def submit_all(self, requests: Sequence[JobRequest]) -> None:
        """Submit these as a client does: again where the trail was too slow; a refusal fails."""
        left = list(requests)
        while left:
            answers = list(zip(left, await self._submitter.submit_many(left), strict=True))
            left = [job for job, answer in answers if isinstance(answer, BackendUnavailable)]
            for _, answer in answers:
                assert not isinstance(answer, Exception) or isinstance(answer, BackendUnavailable)

    async def submit_steps(self, *, steps: int, step_seconds: float, **fields: Any) -> str:
        fail = fields.pop("fail_attempts", 0)
        payload = {"steps": steps, "stepSeconds": step_seconds, "failAttempts": fail}
        return await self.submit(payload=payload, **fields)

    async def history(self, job_id: str) -> Sequence[Event]:
        return await self.backend.trail.history(job_id, limit=100_000)

    async def statuses(self, job_id: str) -> list[str]:
        return [event.status for event in await self.history(job_id)]

    async def state(self, job_id: str) -> State | None:
        head = await self.backend.trail.newest(job_id)
        return None if head is None else head.after.state

    async def until_running(self, job_id: str, *, step: int = 1) -> Event:
        """Wait until the job has reported a step, and return its newest event."""

        async def reported() -> Event | None:
            head = await self.backend.trail.newest(job_id)
            at = head.data.get("step", 0) if head is not None else 0
            return head if head is not None and at >= step else None

        return await eventually(f"step {step} of job {job_id}", reported, seconds=120)

    async def until_ended(self, *job_ids: str, seconds: float = 120) -> None:
        for job_id in job_ids:

            async def ended(job_id: str = job_id) -> bool:
                state = await self.state(job_id)
                return state is not None and state.is_terminal

            await eventually(f"the end of job {job_id}", ended, seconds=seconds)

    async def running_intervals(self, job_ids: Sequence[str]) -> list[tuple[float, float]]:
        """Return when each job ran, in epoch seconds of its own events, in order."""
        intervals = []
        for job_id in job_ids:
            started = 0.0
            for event in await self.history(job_id):
                if event.status == "Started":
                    started = event.occurred_at.timestamp()
                elif event.after.state is not State.RUNNING and started:
                    intervals.append((started, event.occurred_at.timestamp()))
                    started = 0.0
        return sorted(intervals)


def _can_be_written(database: Path) -> bool:
    if not database.exists():  # another backend
        return True
    connection = sqlite3.connect(database, timeout=2, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True
