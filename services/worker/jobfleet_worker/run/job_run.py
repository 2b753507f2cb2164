"""The life of one attempt: from the claim of a job to the end of its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from jobfleet_contracts.error_group import NO_HANDLER
from jobfleet_contracts.errors import BackendError, CodecError, Fenced, KeyUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.outcome import (
    AttemptFailed,
    AttemptTimedOut,
    Deferred,
    HandedBack,
    JobError,
    Lost,
    NotStarted,
    Outcome,
    Waiting,
)
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import RunningJob
from jobfleet_protocol.actions.successors import ResultMissing
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.rate_limiter import RATE
from jobfleet_protocol.trail.transitions import Change
from jobfleet_worker.callback_wait import CallbackWait
from jobfleet_worker.handlers.context import AttemptFacts
from jobfleet_worker.handlers.described_error import describe_error, error_of
from jobfleet_worker.handlers.error_text import type_of
from jobfleet_worker.handlers.outcomes import run_of
from jobfleet_worker.handlers.progress_log import ProgressLog
from jobfleet_worker.handlers.registry import Handler
from jobfleet_worker.handlers.runners import Runner, runner_for
from jobfleet_worker.run.attempt import Attempt, Stop
from jobfleet_worker.run.attempt_inputs import AttemptInputs
from jobfleet_worker.run.attempt_log import AttemptLog
from jobfleet_worker.run.handler_pause import LONGEST_PAUSE, deferrals_after
from jobfleet_worker.run.held_lock_slots import HeldLockSlots
from jobfleet_worker.run.kept_details import masked_in_thread
from jobfleet_worker.run.outcome_record import OutcomeRecord, attempts_left
from jobfleet_worker.run.run_lease import RunLease
from jobfleet_worker.run.run_parts import RunParts
from jobfleet_worker.run.unsent import stays_waiting
from jobfleet_worker.tracing import attempt_span

JOB_STARTED = "job.started"
JOB_ENDED = "job.ended"
JOB_FENCED = "job.fenced"
ATTEMPT_FAILED = "attempt.failed"
ATTEMPT_BROKE = "attempt.broke"
NO_HANDLER_DELAY = timedelta(seconds=1)
START_MISSED = "rate_slot.missed"
LAST_SECONDS = 5
"""Beyond limit and grace period, for the end of an attempt, before its lease is renewed no more."""

_log = structlog.get_logger()


class JobRun:
    """One claimed job in one slot: its lease, its trail, its handler.

    Attributes:
        trail: the job's trail under this claim.
        lease: what the claim rests on.
        held_lock_slots: which the job holds beside its lock.
    """

    def __init__(
        self, *, claimed: Claimed, lease: RunLease, held_lock_slots: HeldLockSlots, parts: RunParts
    ) -> None:
        self.claimed = claimed
        self.trail = claimed.trail
        self.lease = lease
        self.held_lock_slots = held_lock_slots
        self._parts = parts
        self._request = claimed.request
        self._handler = parts.handlers.get(claimed.request.type)
        self._limit_seconds = self._find_limit()
        self._attempt = Attempt(
            limit_seconds=self._limit_seconds,
            grace_seconds=parts.options.grace_seconds,
        )
        self._lines = AttemptLog(
            logs=parts.logs,
            started=self.trail.head,
            may_begin=lambda: parts.clock.boottime() < self._trusted_until(),
            coder=parts.coder,
        )
        self._started_at = parts.clock.now()
        self._began = parts.clock.boottime()
        self._ended_outside = False
        self._looking: asyncio.Task[None] | None = None
        self._to_look = False
        self._is_overdue = False

    async def run(self) -> None:
        """Run the handler and record its end; returns when the slot is free again."""
        head = self.trail.head
        with attempt_span(self.claimed.request, head) as span:
            _log.info(JOB_STARTED)
            job_type = head.facts.job_type
            if head.duration_ms is not None:  # of Started: how long the job was due
                self._parts.metrics.attempt_started(job_type, head.duration_ms / 1000)
            outcome = await self._run_handler()
            self._lines.end()  # the last ones go out while the ending is written
            ended = await self._record(outcome)
            # Before the lease is given up: a renewal that comes after the release is refused, and
            # would look like a lost lease.
            self.lease.drop()
            self.held_lock_slots.drop()
            if ended is None and self.lease.is_left_to_worker:
                self._parts.give_back.job(self.trail.head, self.lease.kept.lock)
            span.end(ended)
            _log_failure(outcome, ended, hides=self._parts.coder.encodes)
            self._count(ended)
            await self._follow_up(outcome, ended)
            await self._tell_hooks(outcome, ended)
            await self._lines.drain()
            await self._until_handler_ended()

    def stop(self, reason: Stop, text: str = "") -> None:
        """Tell the handler to stop, or not to start."""
        self._attempt.stop(reason, text)

    def look_for_cancel(self) -> None:
        """Read the trail for a cancel request, or for a newer epoch, in the background.

        Asked again while it reads, it reads again: the first look may have been too early.
        """
        self._to_look = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name=f"look-{self.trail.head.job_id}")

    def status(self) -> RunningJob:
        """Return what the heartbeat says of this job."""
        left = self._trusted_until() - self._parts.clock.boottime()
        facts = self.trail.head.facts
        return RunningJob(
            job_id=facts.job_id,
            job_name=facts.job_name,
            job_type=facts.job_type,
            attempt=self.trail.head.after.attempt,
            started_at=self._started_at,
            lease_seconds_left=round(left, 1),
        )

    async def _run_handler(self) -> Outcome:
        """Return how the attempt ended; an error of our own ends it like one of the handler's."""
        handler, problem = self._handler, self.claimed.terms.problem
        if self._parts.clock.boottime() >= self._trusted_until():
            return HandedBack("the lease ran out before the handler could start")
        if handler is None:
            return await self._no_handler()
        if problem is not None:
            return _not_startable(problem)
        try:
            progress = ProgressLog(
                trail=self.trail, clock=self._parts.clock, coder=self._parts.coder
            )
            # Both before the first await. Otherwise this run would not hear of a lost lease, a
            # cancel request or another holder that comes while its inputs are read.
            self._watch()
            self.trail.on_moved = self._moved
            runner = await self._prepared(handler, progress)
            if not await self._may_start_by_its_rates():
                return self._too_late()
            self._watch()  # anew: the limit counts from here, reading the checkpoint took its time
            outcome = await self._attempt.run(runner)
            # Before the ending is written: it closes the trail, and steps noted until now belong
            # to it.
            await self._close(progress)
        except Exception as error:  # noqa: BLE001 - left running, the job would never end
            return self._broken(error)
        return outcome

    async def _may_start_by_its_rates(self) -> bool:
        """Wait for the reserved start; storage in trouble counts as none within reach."""
        admission = self.claimed.admission
        if admission is None or self._attempt.is_stopping:
            return True
        try:
            return await self._parts.rates.keep(admission)
        except BackendError as error:
            _log.warning(START_MISSED, error=str(error))
            return False

    def _too_late(self) -> Outcome:
        admission = self.claimed.admission
        name = admission.name if admission is not None else ""
        data: dict[str, Any] = {"reason": RATE, "rate": name, "slot": None, "slots": {}}
        return NotStarted(f"its slot of rate {name} passed before its handler could start", data)

    async def _close(self, progress: ProgressLog) -> None:
        try:
            await progress.close()
        except Exception:  # noqa: BLE001 - steps that cannot be written change no outcome
            _log.exception(ATTEMPT_BROKE)

    async def _record(self, outcome: Outcome) -> Event | None:
        """Write the outcome; ``None`` if nothing was or may be written."""
        try:
            try:
                return await self._write(outcome)
            except Fenced:
                raise
            except Exception as error:  # noqa: BLE001 - an outcome that cannot be written is a failure
                return await self._write(_refused(error))
        except Fenced as fenced:
            _log.warning(JOB_FENCED, reason=str(fenced))
            return None

    async def _write(self, outcome: Outcome) -> Event | None:
        if isinstance(outcome, Lost):
            self.trail.close()
            _log.warning(JOB_FENCED, reason=outcome.reason)
            return None
        released = stays_waiting(outcome, self.trail.head) and isinstance(outcome, HandedBack)
        if isinstance(outcome, Waiting) or released:
            self.trail.close()
            return self.trail.head
        deferrals = await self._deferrals_in_a_row(outcome)
        shown = await masked_in_thread(outcome)
        return await self.trail.write(
            lambda head: self._changes(outcome, head, deferrals, shown), last=True
        )

    async def _deferrals_in_a_row(self, outcome: Outcome) -> int:
        """Return how often the handler deferred the job just before, without a step in between."""
        head = self.trail.head
        is_soon = isinstance(outcome, Deferred) and outcome.delay < LONGEST_PAUSE
        if not is_soon or head.kind is not Status.STARTED:
            return 0
        try:
            page = await self._parts.trail.history(head.job_id, before=head.sequence, limit=1)
        except BackendError:
            return 0  # the pause is shorter than it could be, and the ending waits for nothing
        return deferrals_after(page[0]) if page else 0

    def _count(self, ended: Event | None) -> None:
        metrics = self._parts.metrics
        self._parts.tally.note(
            self.trail.head, ended, started_at=self._started_at, ended_at=self._parts.clock.now()
        )
        if ended is None:
            metrics.attempt_fenced()
            return
        metrics.attempt_ended(ended.facts.job_type, self._duration_ms / 1000)
        metrics.job_moved(ended)
        _log.info(JOB_ENDED, state=ended.after.state.value, duration_ms=self._duration_ms)

    async def _follow_up(self, outcome: Outcome, ended: Event | None) -> None:
        claimed, lease = self.claimed, self.lease.lease
        if ended is not None or self._ended_outside:
            await self._parts.follow_up.release(self.held_lock_slots.leave(), claimed.request)
        if ended is not None:
            await self._parts.follow_up.after(claimed, lease, outcome, ended, self._limit_seconds)
        elif self._ended_outside:
            # In every other fenced case another holder has the lease by now, or may have it: a
            # release could free the lock while that holder relies on it.
            await self._parts.follow_up.leave(lease, claimed.request)

    async def _tell_hooks(self, outcome: Outcome, ended: Event | None) -> None:
        """Call the ``on_error`` hooks, if the trail records a failure."""
        hooks = self._parts.hooks
        error = error_of(outcome)
        if error is None or ended is None or not hooks.reports:
            return
        run = run_of(self._facts(ended))
        run.outcome = "failed"
        run.final = ended.after.state in (State.FAILED, State.TIMED_OUT)
        await hooks.report(error, run)

    async def _until_handler_ended(self) -> None:
        """Keep the slot taken while a handler that was left behind goes on in it."""
        handler_end, no_more_starts = self._attempt.unfinished, self._parts.no_more_starts
        if handler_end is None or no_more_starts.is_set():
            return
        draining = asyncio.create_task(no_more_starts.wait(), name="abandoned")
        try:
            ends: list[asyncio.Future[Any]] = [handler_end, draining]
            with self._parts.slots.left_behind():
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()

    @property
    def _duration_ms(self) -> int:
        return round((self._parts.clock.boottime() - self._began) * 1000)

    def _find_limit(self) -> float:
        """Return the time limit of the attempt: the job's, the handler's or the fleet's."""
        requested = self.claimed.request.timeout_seconds
        declared = self._handler.timeout if self._handler is not None else None
        return requested or declared or self.claimed.defaults.timeout_seconds

    def _find_defaults(self) -> JobDefaults:
        """Return the fleet's defaults, with the back-off that the handler declares."""
        declared = self._handler.retry_delay if self._handler is not None else None
        defaults = self.claimed.defaults
        return defaults if declared is None else replace(defaults, retry_delay_seconds=declared)

    def _trusted_until(self) -> float:
        return min(self.lease.kept.trusted_until, self.held_lock_slots.trusted_until())

    def _watch(self) -> None:
        self._watch_for(self._limit_seconds + self._parts.options.grace_seconds + LAST_SECONDS)
        # After watch(): a loss that came before it was not reported.
        lost = self.lease.kept.lost_reason or self.held_lock_slots.lost_reason()
        if lost is not None:
            self.stop(Stop.LEASE_LOST, lost)

    def _watch_for(self, seconds: float) -> None:
        self.lease.watch(
            give_up_at=self._parts.clock.boottime() + seconds,
            on_lost=lambda reason: self.stop(Stop.LEASE_LOST, reason),
            on_renewed=self.look_for_cancel,
            on_overdue=self._overdue,
        )
        self.held_lock_slots.watch(
            give_up_at=self._parts.clock.boottime() + seconds,
            on_lost=lambda reason: self.stop(Stop.LEASE_LOST, reason),
        )

    def _overdue(self) -> None:
        """Act on a run whose time is over while storage has not taken its end.

        After one more lease the worker's own lock goes: another worker may reach the trail.
        """
        if not self._is_overdue:
            self._is_overdue = True
            self._watch_for(self._parts.options.lease_seconds)
            return
        reason = f"the end of job {self.trail.head.job_id} cannot be written"
        self._parts.retire_lock(self.lease.kept.lock, reason)

    async def _prepared(self, handler: Handler, progress: ProgressLog) -> Runner:
        """Read what the handler needs from storage, and decode it.

        Raises:
            CodecError: a value cannot be decoded here.
            ResultMissing: a result that the payload is to hold is gone.
        """
        inputs = AttemptInputs(
            trail=self._parts.trail,
            payloads=self._parts.payloads,
            is_stopping=lambda: self._attempt.is_stopping,
            coder=self._parts.coder,
        )
        checkpoint = await inputs.last_checkpoint(self.trail.head)
        self._request = await inputs.filled(self.claimed.request)
        return self._runner(handler, checkpoint, progress)

    def _runner(self, handler: Handler, checkpoint: Any, progress: ProgressLog) -> Runner:
        facts = self._facts(self.trail.head, checkpoint)
        wait = self._callback_wait() if handler.waits else None
        return runner_for(
            handler,
            self._request.payload,
            facts,
            progress,
            self._parts.hooks,
            processes=self._parts.processes,
            wait=wait,
            keep=self._lines.keep if self._parts.logs else None,
        )

    def _facts(self, head: Event, checkpoint: Any = None) -> AttemptFacts:
        return AttemptFacts(
            job=self._request,
            attempt=head.after.attempt,
            epoch=head.after.epoch,
            incarnation=head.after.incarnation,
            last_checkpoint=checkpoint,
            resuming=head.after.state is State.WAITING,
            limit_seconds=self._limit_seconds,
            is_last=not attempts_left(head),
        )

    def _callback_wait(self) -> CallbackWait:
        return CallbackWait(
            request=self.claimed.request,
            trail=self.trail,
            lease=self.lease,
            held=self.held_lock_slots,
            leases=self._parts.leases,
            keeper=self._parts.keeper,
            follow_up=self._parts.follow_up,
            clock=self._parts.clock,
            coder=self._parts.coder,
        )

    async def _no_handler(self) -> Outcome:
        known = ", ".join(self._parts.handlers.types)
        job_type, queue = self.claimed.request.type, self.claimed.request.queue
        if not await self._parts.handler_gate.is_given_up(job_type, queue):
            message = f"this worker has no handler for {job_type!r}"
            return Deferred(NO_HANDLER_DELAY, message, is_own=True)
        error = JobError(NO_HANDLER, f"no handler for {job_type!r}; this worker has {known}")
        return AttemptFailed(error, final=True)

    def _broken(self, error: Exception) -> Outcome:
        if isinstance(error, KeyUnavailable):  # another worker may have it
            return Deferred(NO_HANDLER_DELAY, str(error), is_own=True)
        if isinstance(error, ResultMissing | CodecError):
            is_final = isinstance(error, ResultMissing)
            return AttemptFailed(JobError(type(error).__name__, str(error)), final=is_final)
        _log.exception(ATTEMPT_BROKE)
        return AttemptFailed(describe_error(error))

    def _changes(
        self, outcome: Outcome, head: Event, deferrals: int, shown: dict[str, Any] | None
    ) -> Sequence[Change]:
        record = OutcomeRecord(
            request=self.claimed.request,
            defaults=self._find_defaults(),
            clock=self._parts.clock,
            coder=self._parts.coder,
            shown=shown,
        )
        return record.changes(outcome, head, duration_ms=self._duration_ms, deferrals=deferrals)

    def _moved(self, newest: Event) -> None:
        """Judge what another writer has written to the trail."""
        if not self.trail.holds(newest):
            after = newest.after
            # In this very epoch (a callback, a cancel): the lease is still ours to give up.
            self._ended_outside = after.state.is_terminal and after.epoch == self.trail.epoch
            message = f"is {after.state.value}" if self._ended_outside else "runs elsewhere"
            self.stop(Stop.LEASE_LOST, f"the job {message}, in epoch {after.epoch}")
        elif newest.after.cancel_requested:
            self.stop(Stop.CANCEL)

    async def _look(self) -> None:
        while self._to_look:
            self._to_look = False
            try:
                newest = await self._parts.trail.newest(self.trail.head.job_id)
            except BackendError:
                return
            if newest is not None and not self.trail.is_closed:
                self._moved(newest)


def _not_startable(problem: JobError) -> Outcome:
    """Return the outcome of a job whose terms cannot be read; a missing key is another worker's."""
    if problem.type == KeyUnavailable.__name__:
        return Deferred(NO_HANDLER_DELAY, problem.message, is_own=True)
    return AttemptFailed(problem, final=problem.type != CodecError.__name__)


def _refused(error: Exception) -> Outcome:
    """Return the failure that is recorded instead; a quote of the error could be refused again."""
    _log.exception(ATTEMPT_BROKE)
    message = "the outcome of the attempt cannot be written; the log of the worker says why"
    return AttemptFailed(JobError(type_of(error), message))


def _log_failure(outcome: Outcome, ended: Event | None, *, hides: bool) -> None:
    """Log what the handler raised: a warning, the error that ended the job as an error.

    Args:
        hides: a codec encodes what the trail holds of it; the log names class and place only.
    """
    is_last = ended is not None and ended.after.state.is_terminal
    log = _log.error if is_last else _log.warning
    match outcome:
        case AttemptFailed(error) if hides:
            log(ATTEMPT_FAILED, error=error.type, place=error.place or None)
        case AttemptFailed(error):
            # Made where the handler ran: to render the exception here would run the user's code.
            log(
                ATTEMPT_FAILED,
                error=f"{error.type}: {error.message}",
                exception=error.traceback or None,
            )
        case AttemptTimedOut(limit):
            log(ATTEMPT_FAILED, error=f"over its time limit of {limit:g} s")
