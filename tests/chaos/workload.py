"""Jobs submitted all the while: short, long, failing, locked, scheduled, cancelled, redriven."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import aiohttp

from jobfleet_contracts.errors import ActionRefused, BackendError
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.cancellation import Canceller
from jobfleet_protocol.actions.redrive import Redriver
from tests.chaos.judgement import CALLING

PAUSE_SECONDS = (0.1, 0.6)
MOST_AT_ONCE = 40
LONGEST_JOB_SECONDS = 20.0

Submit = Callable[[JobRequest, str], Awaitable[None]]
"""Returns when the job with this idempotency key is accepted; raises if that is not known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One job, and what is done to it after the submit."""

    steps: int = 2
    step_seconds: float = 0.1
    fail_attempts: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    calls: bool = False
    cancel: bool = False
    redrive: bool = False


class Workload:
    """Submits by one way or the other until it is stopped.

    Args:
        witness_url: what some of the jobs call.
        pace: 1 is several jobs a second.

    Attributes:
        accepted: ids of the jobs whose submit was answered.
        problems: answers that nobody should get, whatever goes on.
    """

    def __init__(
        self,
        *,
        ways: list[Submit],
        canceller: Canceller,
        redriver: Redriver,
        witness_url: str,
        pace: float,
        random: Random,
    ) -> None:
        self._witness_url = witness_url
        self._pace = pace
        self._ways = ways
        self._canceller = canceller
        self._redriver = redriver
        self._random = random
        self._running: set[asyncio.Task[None]] = set()
        self.accepted: list[str] = []
        self.redriven = 0
        self.problems: list[str] = []

    async def run(self) -> None:
        """Submit a job several times a second, until cancelled."""
        number = 0
        while True:
            if len(self._running) < MOST_AT_ONCE:
                number += 1
                job = self._see_through(f"chaos-{self._random.random()}-{number}", self._plan())
                task = asyncio.create_task(job, name=f"job {number}")
                self._running.add(task)
                task.add_done_callback(self._done)
            await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS) / self._pace)

    async def finish(self) -> None:
        """Wait until every submit, cancel and redrive under way is through."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.problems.append(repr(error))

    def _plan(self) -> Plan:
        pause, group = self._random.uniform(0.02, 0.2), self._random.randrange(3)
        soon = datetime.now(UTC) + timedelta(seconds=self._random.uniform(1, 12))
        return self._random.choices(
            (
                Plan(steps=self._random.randint(1, 4), step_seconds=pause),
                Plan(fail_attempts=self._random.randint(1, 2)),
                Plan(fail_attempts=9, fields={"max_attempts": 2}, redrive=group == 0),
                Plan(steps=3, step_seconds=pause, fields={"lock_key": f"group-{group}"}),
                Plan(steps=20, step_seconds=LONGEST_JOB_SECONDS / 20),
                Plan(fields={"run_at": soon}),
                Plan(steps=30, step_seconds=0.5, cancel=True),
                Plan(fields={"priority": self._random.randrange(10)}),
                Plan(calls=True, fields={"max_attempts": 20, "retry_delay_seconds": 0.2}),
            ),
            weights=(32, 12, 8, 20, 4, 6, 5, 5, 8),
        )[0]

    async def _see_through(self, key: str, plan: Plan) -> None:
        request = self._request(plan)
        way = self._random.choice(self._ways)
        await _until_answered(lambda: way(request, key))
        job_id = job_id_for_key(key)
        self.accepted.append(job_id)
        if plan.cancel:
            # Drawn at random, so that the cancel comes before, during and after the job's run.
            await asyncio.sleep(self._random.uniform(0.2, 4))
            await _until_answered(lambda: self._canceller.cancel(job_id, by="chaos"))
        if plan.redrive:
            await self._redrive(job_id)

    def _request(self, plan: Plan) -> JobRequest:
        if plan.calls:
            call = {"targetUrl": self._witness_url, "method": "POST", "timeoutSeconds": 5}
            return JobRequest(type=CALLING, payload=call, **plan.fields)
        payload = {
            "steps": plan.steps,
            "stepSeconds": plan.step_seconds,
            "failAttempts": plan.fail_attempts,
        }
        return JobRequest(type="demo.steps", payload=payload, **plan.fields)

    async def _redrive(self, job_id: str) -> None:
        """Ask until the job has failed and is redriven; refused while it is not dead."""
        for _ in range(60):
            await asyncio.sleep(1)  # each question reads the storage that the fleet works on
            try:
                await self._redriver.redrive(job_id, by="chaos")
            except (ActionRefused, BackendError):
                continue
            self.redriven += 1
            return


async def _until_answered(action: Callable[[], Awaitable[State | None]]) -> None:
    """Repeat what is safe to repeat until it is done, or refused for good."""
    while True:
        try:
            await action()
        except (BackendError, OSError, TimeoutError, aiohttp.ClientError):
            await asyncio.sleep(0.5)  # until the fault that hit this request may be over
        except ActionRefused:
            return
        else:
            return
