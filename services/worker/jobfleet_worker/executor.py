"""Runs one claimed job: attempt, outcome, the events that record it, and what follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from jobfleet_contracts.errors import BackendError, Fenced
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import FLEET_LOCK, Lease, key_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    CancelledByRequest,
    Completed,
    Deferred,
    HandedBack,
    JobError,
    Lost,
    Outcome,
    Waiting,
)
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming import Claimed, Claimer
from jobfleet_protocol.ending import Ending
from jobfleet_protocol.publication import Publication
from jobfleet_protocol.transitions import Change
from jobfleet_worker.attempt import Attempt, Stop
from jobfleet_worker.execution import Execution, ExecutionParts
from jobfleet_worker.lease_keeper import KeptLease, LeaseKeeper
from jobfleet_worker.lock_successor import LockSuccessor
from jobfleet_worker.retry_policy import retry_delay
from jobfleet_worker.tracing import AttemptSpan, attempt_span
from jobfleet_worker.unsent import not_sent, send_again_at, stays_waiting
from jobfleet_worker.waiting_room import WaitingRoom

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
        self._claimer = claimer
        self._keeper = keeper
        self._ending = Ending(backend=parts.backend, clock=parts.clock)
        self._publication = Publication(backend=parts.backend, clock=parts.clock)
        self._successor = LockSuccessor(
            backend=parts.backend, publication=self._publication, clock=parts.clock
        )
        self.running: dict[str, Execution] = {}
        self._is_stopping = False
        self._heard_cancels: deque[str] = deque(maxlen=HEARD_CANCELS)

    def hear_cancel(self, job_id: str) -> None:
        """Look into the trail of this job, now or as soon as its claim is known here."""
        execution = self.running.get(job_id)
        if execution is not None:
            execution.look_for_cancel()
        else:
            self._heard_cancels.append(job_id)

    def stop_all(self) -> None:
        """Hand back whatever runs, and whatever is claimed from here on."""
        self._is_stopping = True
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
            claimer=self._claimer,
            keeper=self._keeper,
            leave=self._leave,
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
                await self._leave(execution.claimed.lease, execution.claimed.request)
        else:
            self._metrics.attempt_ended(execution.duration_ms / 1000)
            self._metrics.job_moved(ended)
            _log.info(JOB_ENDED, state=ended.after.state.value, duration_ms=execution.duration_ms)
            await self._follow_up(execution, outcome, ended)
        if attempt is not None and not self._is_stopping:
            await attempt.finished.wait()

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
        return await trail.write(lambda head: self._decide(execution, outcome, head), last=True)

    def _decide(self, execution: Execution, outcome: Outcome, head: Event) -> Sequence[Change]:
        """Return the events of an outcome, on top of the newest event."""
        ends = _Change(worker_id=head.after.worker_id, duration_ms=execution.duration_ms)
        match outcome:
            case Completed(result):
                return [ends("Completed", "", {"result": result})]
            case CancelledByRequest(abandoned):
                return [ends("Cancelled", f"cancelled while it ran{_left_behind(abandoned)}")]
            case _ if head.after.cancel_requested:
                return [ends("Cancelled", "cancelled instead of another attempt")]
            case _ if stays_waiting(outcome, head):
                return [] if head.after.sent else [not_sent(outcome, head)]
            case AttemptFailed(error, final, retry_after, details):
                data = {"error": error.to_json()} | details
                return self._failed(execution, head, ends, error.message, data, final, retry_after)
            case AttemptTimedOut(limit, abandoned):
                message = f"over its time limit of {limit:g} s{_left_behind(abandoned)}"
                data = {"error": JobError("TimedOut", message).to_json()}
                if _attempts_left(head):
                    return self._failed(execution, head, ends, message, data, False, None)
                return [ends("TimedOut", message, data)]
            case Deferred(delay, reason):
                return [ends("Deferred", reason, due_at=self._clock.now() + delay)]
            case HandedBack(reason, abandoned):
                message = f"{reason}{_left_behind(abandoned)}"
                return [ends("Deferred", message, due_at=self._clock.now())]
            case Waiting() | Lost():
                return []

    def _failed(
        self,
        execution: Execution,
        head: Event,
        ends: _Change,
        message: str,
        data: dict[str, Any],
        final: bool,
        retry_after: timedelta | None,
    ) -> Sequence[Change]:
        if final or not _attempts_left(head):
            return [ends("Failed", message, data)]
        used = head.after.attempts_used + 1
        delay = retry_after
        if delay is None:
            delay = retry_delay(execution.claimed.request, execution.claimed.defaults, used)
        due_at = self._clock.now() + delay
        seconds = round(delay.total_seconds(), 3)
        return [
            ends("AttemptFailed", message, data, due_at=due_at),
            Change(
                status="RetryScheduled",
                worker_id=head.after.worker_id,
                due_at=due_at,
                message=f"retry {used} of {head.after.max_attempts - 1} in {seconds:g} s",
                data={"delaySeconds": seconds},
            ),
        ]

    async def _follow_up(self, execution: Execution, outcome: Outcome, head: Event) -> None:
        """Callback job, release, message for what is due again, end of the open row: in order."""
        claimed = execution.claimed
        ended = head.after.state.is_terminal
        # Without its callback job the open row stays: it is what the rescuer goes by.
        settled = ended and await self._quietly(self._ending.submit_callback(head, claimed.request))
        await self._quietly(self._claimer.give_up(claimed.lease, claimed.request))
        if settled:
            self._ending.close(head)
        elif stays_waiting(outcome, head) and not head.after.sent:
            await self._publish_again(claimed, head, self._send_again_at(execution, outcome, head))
        elif not ended and head.after.state is not State.WAITING:
            await self._publish_again(claimed, head, head.after.due_at)
        await self._tell_successor(claimed.lease, claimed.request)

    async def _leave(self, lease: Lease, request: JobRequest) -> None:
        await self._quietly(self._claimer.give_up(lease, request))
        await self._tell_successor(lease, request)

    async def _tell_successor(self, lease: Lease, request: JobRequest) -> None:
        key = request.lock_key
        if key is not None and lease.lock == key_lock(key):
            await self._quietly(self._successor.publish_next(key, ended=request.job_id))

    def _send_again_at(
        self, execution: Execution, outcome: Outcome, head: Event
    ) -> datetime | None:
        claimed = execution.claimed
        handler = self._parts.handlers.get(claimed.request.type)
        return send_again_at(
            outcome,
            head,
            request=claimed.request,
            defaults=claimed.defaults,
            limit_seconds=execution.limit_seconds(handler),
            now=self._clock.now(),
        )

    async def _publish_again(self, claimed: Claimed, head: Event, due_at: datetime | None) -> None:
        message = JobMessage(
            request=claimed.request,
            defaults=claimed.defaults,
            sequence=head.sequence,
            published_at=self._clock.now(),
            due_at=due_at,
        )
        await self._publication.attempt(message, head)

    async def _quietly(self, step: Any) -> bool:
        """The outcome stands; what storage refuses now is seen to by expiry or the rescuer."""
        try:
            await step
        except BackendError as error:
            _log.warning("follow_up.failed", error=str(error))
            return False
        return True


class _Change:
    """Makes the ending's changes with what they share."""

    def __init__(self, *, worker_id: str | None, duration_ms: int) -> None:
        self._worker_id = worker_id
        self._duration_ms = duration_ms

    def __call__(
        self,
        status: str,
        message: str,
        data: dict[str, Any] | None = None,
        *,
        due_at: datetime | None = None,
    ) -> Change:
        return Change(
            status=status,
            worker_id=self._worker_id,
            message=message,
            duration_ms=self._duration_ms,
            due_at=due_at,
            data=data or {},
        )


def _attempts_left(head: Event) -> bool:
    return head.after.attempts_used + 1 < head.after.max_attempts


def _left_behind(abandoned: bool) -> str:
    return "; the handler did not stop and was left behind" if abandoned else ""
