"""One run of the demo: a fleet, its sample jobs, and what became of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.fleet import Fleet
from jobfleet_cli.local_fleet import local_fleet, run_fleet
from jobfleet_cli.sample_jobs import sample_jobs
from jobfleet_cli.stop_signals import StopSignals
from jobfleet_cli.terminal_text import indented
from jobfleet_contracts.errors import JobfleetError
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.submitted_job import SubmittedJob

FOLDER = "demo"
HANDLERS = "jobfleet_cli.demo_jobs"


class DemoRun:
    """On the embedded backend in a folder of its own, or on PostgreSQL if that is configured.

    RabbitMQ and Azure Storage may be what a fleet works on: the demo leaves them alone.
    """

    def __init__(
        self, *, settings: Settings, jobs: int, workers: int, port: int, exit_when_done: bool
    ) -> None:
        self._folder = (settings.data_dir / FOLDER).resolve()
        backend = "postgres" if settings.backend == "postgres" else "embedded"
        self._settings = settings.model_copy(
            update={
                "backend": backend,
                "data_dir": self._folder,
                "postgres_schema": f"{settings.postgres_schema}_demo",
            }
        )
        self._jobs = jobs
        self._workers = workers
        self._port = port
        self._exit_when_done = exit_when_done
        self._code = ExitCode.DONE

    async def run(self) -> ExitCode:
        """Run until Ctrl-C, or until all sample jobs have ended if that was asked for."""
        fleet = local_fleet(
            self._settings,
            workers=self._workers,
            port=self._port,
            environment=_environment(self._settings),
        )
        StopSignals(request=fleet.request_stop).start()
        code = await run_fleet(fleet, self._port, when_ready=lambda: self._run_jobs(fleet))
        return max(code, self._code)

    async def _run_jobs(self, fleet: Fleet) -> None:
        backend = await open_backend(self._settings)
        try:
            publisher = Publisher(
                backend=backend, clock=SystemClock(), defaults=self._settings.job_defaults
            )
            jobs = sample_jobs(self._jobs, self._folder)
            await self._report(await publisher.submit_many(jobs, by="demo"))
        finally:
            await backend.close()
        if self._exit_when_done:
            fleet.request_stop()

    async def _report(self, answers: Sequence[SubmittedJob | JobfleetError]) -> None:
        refused = [answer for answer in answers if isinstance(answer, JobfleetError)]
        for error in refused:
            print(f"error: {indented(str(error))}", file=sys.stderr)
        jobs = [answer for answer in answers if isinstance(answer, SubmittedJob)]
        results = await asyncio.gather(*(job.wait() for job in jobs))
        completed = sum(result.completed for result in results)
        failed = len(answers) - completed
        print(f"{completed} completed, {failed} failed", flush=True)
        if failed:
            self._code = ExitCode.NO


def _environment(settings: Settings) -> dict[str, str]:
    """What the children see: this process's environment, but always the demo's own backend."""
    return dict(os.environ) | {
        "JOBFLEET_BACKEND": settings.backend,
        "JOBFLEET_DATA_DIR": str(settings.data_dir),
        "JOBFLEET_POSTGRES_SCHEMA": settings.postgres_schema,
        "JOBFLEET_HANDLERS": HANDLERS,
        "JOBFLEET_QUEUES": "default",
    }
