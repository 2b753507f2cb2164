"""One run: a fleet at work, faults, healing, draining, and what is left to be judged."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from devtools.evidence import figures
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_worker.run.deferral import LONGEST_DEFERRAL
from jobfleet_worker.upkeep.republish_pace import Pace
from tests.chaos.dashboard import Dashboard
from tests.chaos.faults import Faults
from tests.chaos.judgement import Judgement, judge
from tests.chaos.processes import Processes
from tests.chaos.proxied_servers import Proxied, ProxiedServers
from tests.chaos.witness import Witness
from tests.chaos.workload import LONGEST_JOB_SECONDS, Submit, Workload
from tests.system.fleet import LEASE_SECONDS, Fleet

WORKERS = 4
DECLARED_SECONDS = 5.0
"""RabbitMQ 3.10 may lose the leader of a queue if it is killed within 3 s of its declaration."""
LAST_SUBMITS_SECONDS = 240.0
QUIET_SECONDS = (
    LEASE_SECONDS + Pace.OVERDUE.value[0] + LONGEST_DEFERRAL + LONGEST_JOB_SECONDS + 45.0
)
"""Longest time in which a healed fleet may change nothing, by its documented worst case.

A worker that was killed last holds its lease. The rescuer publishes a job a minute after it was
due, the message is put off for a minute, and a job runs. The rest is for a busy machine.
"""
DRAIN_SECONDS = 1800.0
"""A fleet that changes something all the while and never ends is at fault, too."""
Scope = Literal["mixed", "job", "worker", "fleet"]
SCOPES: Mapping[Scope, Sequence[str]] = {
    "mixed": ("worker", "job"),
    "job": ("job",),
    "worker": ("worker",),
    "fleet": ("fleet",),
}
"""Scopes of the workers, in turn. Mixed is a rolling update: both kinds side by side."""
PACE_OF_ONE_AT_A_TIME = 0.1
"""In scope ``fleet`` one job runs at a time, and a struck worker delays all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosResult:
    """What one run did and what is left of it.

    Attributes:
        left: what still stands where nothing should: open rows and messages.
        problems: answers that no client should get.
        crashes: logs of workers that ended by an error of their own.
        calls, effects: of the witness; several calls under one key are one effect.
        contradictions: where the witness and the trail differ.
        hung: stacks of workers that did not end when they were told to.
    """

    backend: str
    seed: int
    seconds: float
    drained_after: float
    accepted: list[str]
    redriven: int
    faults: Counter[str]
    fenced: int
    left: list[str]
    problems: list[str]
    crashes: list[str]
    hung: list[str]
    judgement: Judgement
    calls: int
    effects: int
    contradictions: list[str]

    def summary(self) -> str:
        """Return the one line that ``make chaos`` prints."""
        found = self.judgement
        ends = ", ".join(f"{number:,} {state}" for state, number in sorted(found.ends.items()))
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.faults.items()))
        return (
            f"chaos on {self.backend}, {self.seconds:.0f} s, seed {self.seed}: "
            f"{len(self.accepted):,} jobs ({ends}; {self.redriven} redriven), "
            f"{self.faults.total()} faults ({kinds}), {found.takeovers} takeovers, "
            f"fenced workers {self.fenced}, slowest recovery {found.slowest:.1f} s, drained in "
            f"{self.drained_after:.0f} s; {found.events:,} events, {len(found.violations)} "
            f"violations, {len(found.overlaps)} overlaps, {found.drift} index differences; "
            f"{self.effects} effects by {self.calls} calls"
        )

    def assert_flawless(self) -> None:
        """Fail with everything that should not be."""
        found = self.judgement
        figures.count(
            jobs=len(self.accepted),
            events=found.events,
            takeovers=found.takeovers,
            fenced_workers=self.fenced,
            violations=len(found.violations),
            overlaps=len(found.overlaps),
            witness_calls=self.calls,
            witness_effects=self.effects,
            jobs_with_an_effect=len(found.called),
            **{figures.fault(kind): number for kind, number in self.faults.items()},
        )
        lost = sorted(set(self.accepted) - found.known)
        wrong = [
            *(f"violation: {each}" for each in found.violations),
            *(f"overlap: {each}" for each in found.overlaps),
            *(f"not ended: {each}" for each in found.open),
            *(f"accepted and lost: {job_id}" for job_id in lost),
            *(f"left behind: {each}" for each in self.left),
            *(f"witness: {each}" for each in self.contradictions),
            *(f"answered: {each}" for each in self.problems),
            *(f"a worker died: {log}" for log in self.crashes),
            *(f"a worker hung: {log}" for log in self.hung),
        ]
        assert not wrong, "\n".join([self.summary(), *wrong])


class ChaosRun:
    """Puts the parts together.

    Args:
        fleet: opened through the proxies, where there are any; workers inherit its environment.
        observer: the same backend, reached past the proxies.
        servers: ``None`` on the embedded backend.
        dashboard: takes half of the submits; ``None``: all come through the library.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        observer: Fleet,
        servers: Proxied | None,
        dashboard: Dashboard | None,
        seed: int,
        scope: Scope = "mixed",
    ) -> None:
        self._fleet = fleet
        self._observer = observer
        self._servers = servers
        self._dashboard = dashboard
        self._seed = seed
        self._scope = scope
        self._witness = Witness(Random(f"{seed} witness"))

    async def run(self, seconds: float) -> ChaosResult:
        """Do harm for so long, then heal, drain and judge."""
        await self._witness.start()
        processes = Processes(
            fleet=self._fleet,
            size=WORKERS,
            scopes=SCOPES[self._scope],
            random=Random(f"{self._seed} processes"),
        )
        faults = Faults(
            processes=processes, servers=self._servers, random=Random(f"{self._seed} faults")
        )
        workload = self._workload()
        await self._until_ready()
        submitting = asyncio.create_task(workload.run(), name="workload")
        try:
            await faults.run(seconds)
            submitting.cancel()
            healed_at = time.monotonic()
            async with asyncio.timeout(LAST_SUBMITS_SECONDS):
                await workload.finish()
            hung = await processes.stay()
            left = await self._drain()
            drained_after = time.monotonic() - healed_at
        finally:
            submitting.cancel()
            await processes.stop()
            await self._witness.stop()
        judgement = await judge(self._observer.backend, processes.struck)
        return ChaosResult(
            backend=self._observer.backend.name,
            seed=self._seed,
            seconds=seconds,
            drained_after=drained_after,
            accepted=workload.accepted,
            redriven=workload.redriven,
            faults=faults.done,
            fenced=processes.fenced,
            left=left,
            problems=workload.problems,
            crashes=processes.crashes,
            hung=hung,
            judgement=judgement,
            calls=self._witness.calls.total(),
            effects=len(self._witness.calls),
            contradictions=self._witness.contradictions(judgement.calling, judgement.called),
        )

    def _workload(self) -> Workload:
        backend, clock = self._fleet.backend, SystemClock()
        writes = WriteSide.wire(
            backend=backend, clock=clock, defaults=self._fleet.settings.job_defaults
        )

        async def by_library(request: JobRequest, key: str) -> None:
            await writes.submitter.submit(request, idempotency_key=key)

        ways: list[Submit] = [by_library]
        if self._dashboard is not None:
            ways.append(self._dashboard.submit)
        return Workload(
            ways=ways,
            canceller=writes.canceller,
            redriver=writes.redriver,
            witness_url=self._witness.url,
            pace=PACE_OF_ONE_AT_A_TIME if self._scope == "fleet" else 1.0,
            random=Random(f"{self._seed} jobs"),
        )

    async def _until_ready(self) -> None:
        """One job has run, so exchanges, queues, tables and containers stand."""
        first = await self._fleet.submit_steps(steps=1, step_seconds=0)
        await self._observer.until_ended(first, seconds=60)
        if self._dashboard is not None:
            await self._dashboard.until_ready()
        if self._servers is not None:
            await asyncio.sleep(DECLARED_SECONDS)

    async def _drain(self) -> list[str]:
        """Wait as long as something changes; return what is left when nothing does any more."""
        began = changed_at = time.monotonic()
        before: list[str] = []
        while left := [*await self._open_rows(), *await self._messages()]:
            now = time.monotonic()
            if left != before:
                before, changed_at = left, now
            if now - changed_at > QUIET_SECONDS or now - began > DRAIN_SECONDS:
                break
            await asyncio.sleep(2)  # each look takes the servers' time from the fleet
        return left

    async def _open_rows(self) -> list[str]:
        page = await self._observer.backend.reader.open_rows(limit=100)
        return [
            f"open row of {row.facts.job_id}, {row.state.value}, event {row.sequence}"
            for row in page.items
        ]

    async def _messages(self) -> list[str]:
        """Messages in any queue, delayed ones and malformed ones among them."""
        if not isinstance(self._servers, ProxiedServers):
            depths = await self._observer.backend.queue.depths()
            return [f"{each.ready} in {each.queue}.{each.lane}" for each in depths if each.ready]
        listing = await asyncio.to_thread(
            self._servers.rabbitmq.control, "list_queues", "name", "messages"
        )
        rows = [line.split() for line in listing.splitlines() if line.startswith("chaos.")]
        return [f"{messages} in {name}" for name, messages in rows if messages != "0"]


def seconds_from(variable: str, default: float) -> float:
    """Return how long to run, from the environment."""
    return float(os.environ.get(variable, default))
