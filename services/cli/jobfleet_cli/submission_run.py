"""Submits a batch of jobs and reports each, or runs the publisher console."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode, exit_code_of
from jobfleet_cli.session import Session, who
from jobfleet_cli.standard_streams import terminal_output
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.errors import JobfleetError
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.submitted_job import SubmittedJob

BATCH = 500
"""So many jobs are submitted before their lines are printed."""


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

    async def run(self, session: Session) -> ExitCode:
        """Submit all, wait for their ends where asked to, and return the exit code."""
        publisher = publisher_of(session)
        waits: list[asyncio.Task[None]] = []
        for start in range(0, len(self._jobs), BATCH):
            batch = self._jobs[start : start + BATCH]
            answers = await self._submit(publisher, batch)
            waits += [task for task in map(self._take, batch, answers) if task is not None]
        await asyncio.gather(*waits)
        return self._code

    async def _submit(
        self, publisher: Publisher, batch: Sequence[JobRequest]
    ) -> Sequence[SubmittedJob | JobfleetError]:
        if self._idempotency_key is None:
            return await publisher.submit_many(batch, by=who())
        key = self._idempotency_key
        return [await publisher.submit_request(batch[0], idempotency_key=key, by=who())]

    def _take(
        self, request: JobRequest, answer: SubmittedJob | JobfleetError
    ) -> asyncio.Task[None] | None:
        if isinstance(answer, JobfleetError):
            self._refused(request, answer)
            return None
        if self._wait:
            return asyncio.create_task(self._follow(answer), name=f"follow-{answer.job_id}")
        self._print(answer.job_id, answer.submitted)
        return None

    async def _follow(self, job: SubmittedJob) -> None:
        result = await job.wait()
        self._print(job.job_id, result.state)
        if not result.completed:
            self._code = max(self._code, ExitCode.NO)
            print(visible(f"{job.job_id}: {result.reason}"), file=sys.stderr)

    def _refused(self, request: JobRequest, error: JobfleetError) -> None:
        self._code = max(self._code, exit_code_of(error))
        print(f"error: {request.job_id}: {error}", file=sys.stderr)

    def _print(self, job_id: str, state: State) -> None:
        if self._as_json:
            print_json({"jobId": job_id, "state": state.value})
        else:
            print(f"{job_id} {state.value}", flush=True)
