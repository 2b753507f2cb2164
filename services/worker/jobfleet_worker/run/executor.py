"""Runs one claimed job: attempt, outcome, the events that record it, and what follows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from jobfleet_contracts.errors import Fenced
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import FLEET_LOCK
from jobfleet_contracts.outcome import AttemptFailed, HandedBack, JobError, Lost, Outcome, Waiting
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.run.attempt import Attempt, Stop
from jobfleet_worker.run.execution import Execution, ExecutionParts
from jobfleet_worker.run.follow_up import FollowUp
from jobfleet_worker.run.lease_keeper import KeptLease, LeaseKeeper
from jobfleet_worker.run.outcome_record import OutcomeRecord
from jobfleet_worker.run.unsent import stays_waiting
from jobfleet_worker.run.waiting_room import WaitingRoom
from jobfleet_worker.tracing import AttemptSpan, attempt_span

JOB_STARTED = "job.started"
JOB_ENDED = "job.ended"
JOB_FENCED = "job.fenced"
HEARD_CANCELS = 1000
"""Cancel messages remembered for jobs whose claim is just being written."""

_log = structlog.get_logger()


class Executor:
    """Runs claimed jobs and records how they ended."""

    def __init__(self, *, parts: ExecutionParts, claimer: Claimer, keeper: LeaseKeeper) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._metrics = parts.metrics
        self._leases = claimer.leases
        self._keeper = keeper
        self._follow_up = FollowUp(parts=parts, leases=claimer.leases)
        self.running: dict[str, Execution] = {}
        self._is_stopping = False
        self._no_more_starts = asyncio.Event()
        self._heard_cancels: deque[str] = deque(maxlen=HEARD_CANCELS)

    def hear_cancel(self, job_id: str) -> None:
        """Look into the trail of this job, now or as soon as its claim is known here."""
        execution = self.running.get(job_id)
        if execution is not None:
            execution.look_for_cancel()
        else:
            self._heard_cancels.append(job_id)

    def leave_abandoned(self) -> None:
        """Nothing starts any more, so no slot has to wait for a handler that was left behind."""
        self._no_more_starts.set()

    def stop_all(self) -> None:
        """Hand back whatever runs, and whatever is claimed from here on."""
        self._is_stopping = True
        self.leave_abandoned()
        for execution in list(self.running.values()):
            execution.stop(Stop.SHUTDOWN)

    async def run(self, claimed: Claimed, fleet: KeptLease | None = None) -> None:
        """Run a claimed job to the end of its attempt; returns when its slot is free again.

        Args:
            fleet: the fleet's lease, on which the claim rests in scope ``fleet``.
        """
        on_fleet = fleet is not None and claimed.lease.lock == FLEET_LOCK
        kept = fleet if on_fleet and fleet else self._keeper.keep(claimed.lease)
        execution = Execution(
            claimed=claimed, kept=kept, parts=self._parts, started_at=self._clock.now()
        )
        execution.waiting_room = WaitingRoom(
            tenant=execution,
            leases=self._leases,
            keeper=self._keeper,
            leave=self._follow_up.leave,
            clock=self._clock,
        )
        job_id = claimed.trail.head.job_id
        self.running[job_id] = execution
        if job_id in self._heard_cancels:
            execution.look_for_cancel()
        with attempt_span(claimed.request, claimed.trail.head) as span:
            try:
                await self._run(execution, span)
            finally:
                if self.running.get(job_id) is execution:  # an abandoned one may end late
                    del self.running[job_id]
                self._let_go(execution)

    def _let_go(self, execution: Execution) -> None:
        """Renew no more what the attempt rested on; the fleet's lease goes on."""
        if execution.kept.lock != FLEET_LOCK:
            self._keeper.drop(execution.kept)

    async def _run(self, execution: Execution, span: AttemptSpan) -> None:
        claimed = execution.claimed
        head = claimed.trail.head
        _log.info(JOB_STARTED, type=head.facts.job_type, attempt=head.after.attempt)
        if head.duration_ms is not None:
            self._metrics.attempt_started(head.duration_ms / 1000)
        outcome, attempt = await self._outcome(execution)
        try:
            ended = await self._record(execution, outcome)
        except Fenced as fenced:
            _log.warning(JOB_FENCED, reason=str(fenced))
            ended = None
        self._let_go(execution)
        span.end(ended)
        if ended is None:
            self._metrics.attempt_fenced()
            if execution.ended_outside:
                await self._follow_up.leave(execution.claimed.lease, execution.claimed.request)
        else:
            self._metrics.attempt_ended(execution.duration_ms / 1000)
            self._metrics.job_moved(ended)
            _log.info(JOB_ENDED, state=ended.after.state.value, duration_ms=execution.duration_ms)
            await self._follow_up.after(execution, outcome, ended)
        if attempt is not None:
            await self._until_finished(attempt)

    async def _until_finished(self, attempt: Attempt) -> None:
        """Keep the slot taken while a handler that was left behind goes on in it."""
        if attempt.finished.is_set() or self._no_more_starts.is_set():
            return
        waits = [
            asyncio.create_task(event.wait(), name="abandoned")
            for event in (attempt.finished, self._no_more_starts)
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _outcome(self, execution: Execution) -> tuple[Outcome, Attempt | None]:
        job_type = execution.claimed.request.type
        if self._clock.boottime() >= execution.kept.trusted_until:
            return HandedBack("the lease ran out before the handler could start"), None
        if self._is_stopping:
            return HandedBack(), None
        handler = self._parts.handlers.get(job_type)
        if handler is None:
            known = ", ".join(self._parts.handlers.types)
            error = JobError("NoHandler", f"no handler for {job_type!r}; this worker has {known}")
            return AttemptFailed(error, final=True), None
        return await execution.attempt(handler)

    async def _record(self, execution: Execution, outcome: Outcome) -> Event | None:
        """Write the outcome; ``None`` where nothing was or may be written."""
        trail = execution.trail
        if isinstance(outcome, Lost):
            trail.close()
            _log.warning(JOB_FENCED, reason=outcome.reason)
            return None
        released = stays_waiting(outcome, trail.head) and isinstance(outcome, HandedBack)
        if isinstance(outcome, Waiting) or released:
            trail.close()
            return trail.head
        return await trail.write(lambda head: self._changes(execution, outcome, head), last=True)

    def _changes(self, execution: Execution, outcome: Outcome, head: Event) -> Sequence[Change]:
        claimed = execution.claimed
        record = OutcomeRecord(
            request=claimed.request, defaults=claimed.defaults, clock=self._clock
        )
        return record.changes(outcome, head, duration_ms=execution.duration_ms)
