"""Submits a batch of jobs and reports each, or runs the publisher console."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from jobfleet_cli.answer import json_text, print_json
from jobfleet_cli.exit_code import ExitCode, exit_code_of
from jobfleet_cli.session import Session, who
from jobfleet_cli.standard_streams import terminal_output
from jobfleet_cli.terminal_text import indented, visible
from jobfleet_contracts.credentials import masked
from jobfleet_contracts.errors import BackendUnavailable, JobfleetError
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.submitted_job import SubmittedJob

AT_ONCE = 64
"""Submits that are under way at once."""
COUNT_SECONDS = 5.0
"""Between two lines of progress while several jobs are waited for."""


async def run_console(session: Session) -> None:
    """Run the publisher console on this terminal until ``q``."""
    from prompt_toolkit.input import create_input

    from jobfleet_publisher.console import Console

    out = terminal_output()

    def say(line: str) -> None:
        print(visible(line), end="\r\n", file=out, flush=True)  # raw mode: no carriage return

    await Console(publisher=publisher_of(session), keys=create_input(), say=say, by=who()).run()


def publisher_of(session: Session) -> Publisher:
    """Return a publisher with the session's defaults."""
    return Publisher(
        backend=session.backend, clock=session.clock, defaults=session.settings.job_defaults
    )


class SubmissionRun:
    """One call of ``publish``."""

    def __init__(
        self, *, jobs: Sequence[JobRequest], idempotency_key: str | None, wait: bool, as_json: bool
    ) -> None:
        self._jobs = jobs
        self._idempotency_key = idempotency_key
        self._wait = wait
        self._as_json = as_json
        self._code = ExitCode.DONE
        self._printed: set[str] = set()

    async def run(self, session: Session) -> ExitCode:
        """Submit all, wait for their ends where asked to, and return the exit code.

        Each accepted job is printed at once. Whatever ends the command, jobs go on that it
        submitted; the last lines say how to look at them.
        """
        submits = self._begin_submits(session)
        waits: dict[str, asyncio.Task[None]] = {}
        counting = asyncio.create_task(self._count(waits), name="count-ended")
        try:
            for request, submit in zip(self._jobs, submits, strict=True):
                job = await self._accepted(request, submit)
                if job is not None and self._wait:
                    waits[job.job_id] = asyncio.create_task(
                        self._follow(job), name=f"follow-{job.job_id}"
                    )
            await asyncio.gather(*waits.values())
        except (asyncio.CancelledError, BackendUnavailable):
            self._print_what_goes_on(submits, waits)
            raise
        finally:
            for task in (counting, *submits, *waits.values()):
                task.cancel()
        return self._code

    def _begin_submits(self, session: Session) -> list[asyncio.Task[SubmittedJob]]:
        publisher, slots = publisher_of(session), asyncio.Semaphore(AT_ONCE)

        async def submit(request: JobRequest) -> SubmittedJob:
            async with slots:  # the job id or key makes a repeated submit the same one
                return await session.patience.ask(
                    lambda: publisher.submit_request(
                        request, idempotency_key=self._idempotency_key, by=who()
                    )
                )

        return [asyncio.create_task(submit(job), name=f"submit-{job.job_id}") for job in self._jobs]

    async def _accepted(
        self, request: JobRequest, submit: asyncio.Task[SubmittedJob]
    ) -> SubmittedJob | None:
        try:
            job = await asyncio.shield(submit)
        except BackendUnavailable:
            raise  # it was waited for: the others would be in vain
        except JobfleetError as error:
            self._code = max(self._code, exit_code_of(error))
            print(f"error: {request.job_id}: {indented(str(error))}", file=sys.stderr)
            return None
        self._print_accepted(job)
        return job

    async def _follow(self, job: SubmittedJob) -> None:
        alone = len(self._jobs) == 1 and not self._as_json
        result = await job.wait(progress=_print_event if alone else None)
        if self._as_json:
            ended = {"jobId": job.job_id, "state": result.state.value}
            error = result.error and {"type": result.error.type, "message": result.error.message}
            print_json(masked(ended | {"result": result.result, "error": error}))
        else:
            self._print(job.job_id, result.state, file=sys.stdout)
        if not result.completed:
            self._code = max(self._code, ExitCode.NO)
            print(visible(f"{job.job_id}: {result.reason}"), file=sys.stderr)

    async def _count(self, waits: Mapping[str, asyncio.Task[None]]) -> None:
        while self._wait and len(self._jobs) > 1:
            await asyncio.sleep(COUNT_SECONDS)
            ended = sum(task.done() for task in waits.values())
            print(f"{ended} of {len(self._jobs)} ended", file=sys.stderr)

    def _print_what_goes_on(
        self,
        submits: Sequence[asyncio.Task[SubmittedJob]],
        waits: Mapping[str, asyncio.Task[None]],
    ) -> None:
        unclear = 0
        for submit in submits:
            if not submit.done() or submit.cancelled() or submit.exception() is not None:
                unclear += 1
            elif submit.result().job_id not in self._printed:  # accepted behind a slower one
                self._print_accepted(submit.result())
        if unclear:
            message = "without an answer, accepted or not; `jobfleet jobs list` shows which"
            print(f"{unclear} of {len(self._jobs)} jobs {message}", file=sys.stderr)
        going = [job_id for job_id, task in waits.items() if not task.done() or task.cancelled()]
        if going:
            look = f"show {going[0]}" if len(going) == 1 else "list"
            print(f"not waited for, but going on; look with: jobfleet jobs {look}", file=sys.stderr)

    def _print_accepted(self, job: SubmittedJob) -> None:
        if job.warning is not None:
            print(visible(f"warning: {job.job_id}: {job.warning}"), file=sys.stderr)
        self._print(job.job_id, job.submitted, file=sys.stderr if self._wait else sys.stdout)

    def _print(self, job_id: str, state: State, *, file: TextIO) -> None:
        self._printed.add(job_id)
        if self._as_json:
            print(json_text({"jobId": job_id, "state": state.value}, file), file=file, flush=True)
        else:
            print(f"{job_id} {state.value}", file=file, flush=True)


def _print_event(event: Event) -> None:
    line = f"{event.job_id} {event.status} {event.message}".rstrip()
    print(visible(line), file=sys.stderr)
