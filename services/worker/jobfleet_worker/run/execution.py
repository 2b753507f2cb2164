"""One claimed job in one slot: its lease, its trail, its handler."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendError, DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.outcome import Lost, Outcome
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import RunningJob
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.trail_writer import pauses
from jobfleet_worker.handlers.checkpoints import last_checkpoint
from jobfleet_worker.handlers.context import AttemptFacts
from jobfleet_worker.handlers.progress_log import ProgressLog
from jobfleet_worker.handlers.registry import Handler, Handlers
from jobfleet_worker.handlers.runners import Runner, runner_for
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.run.attempt import Attempt, Stop, outcome_of
from jobfleet_worker.run.lease_keeper import KeptLease
from jobfleet_worker.run.waiting_room import WaitingRoom

CHECKPOINT_AWAITED = "checkpoint.awaited"

_log = structlog.get_logger()


class Execution:
    """One claimed job in one slot.

    Attributes:
        ended_outside: somebody else ended it in this very epoch (a callback, a cancel), so that
            its lease is still this worker's to give up.
    """

    def __init__(
        self, *, claimed: Claimed, kept: KeptLease, parts: ExecutionParts, started_at: datetime
    ) -> None:
        self.claimed = claimed
        self.kept = kept
        self.started_at = started_at
        self.waiting_room: WaitingRoom | None = None
        self.ended_outside = False
        self._parts = parts
        self._began = parts.clock.boottime()
        self._attempt: Attempt | None = None
        self._pending_stop: tuple[Stop, str] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._to_look = False

    @property
    def trail(self) -> HeldTrail:
        """The job's trail under this claim."""
        return self.claimed.trail

    def stop(self, reason: Stop, text: str = "") -> None:
        """Tell the handler to stop."""
        if self._attempt is not None:
            self._attempt.stop(reason, text)
        elif self._pending_stop is None:
            self._pending_stop = (reason, text)

    def look_for_cancel(self) -> None:
        """Read the trail for a cancel request, or for a newer epoch, in the background.

        Asked again while it reads, it reads again: the first look may have been too early.
        """
        self._to_look = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name=f"look-{self.trail.head.job_id}")

    def status(self) -> RunningJob:
        """Return what the heartbeat says of this job."""
        left = self.kept.trusted_until - self._parts.clock.boottime()
        facts = self.trail.head.facts
        return RunningJob(
            job_id=facts.job_id,
            job_name=facts.job_name,
            job_type=facts.job_type,
            attempt=self.trail.head.after.attempt,
            started_at=self.started_at,
            lease_seconds_left=round(left, 1),
        )

    @property
    def duration_ms(self) -> int:
        """Milliseconds since the attempt began."""
        return round((self._parts.clock.boottime() - self._began) * 1000)

    async def attempt(self, handler: Handler) -> tuple[Outcome, Attempt | None]:
        """Run the handler and flush its progress."""
        progress = ProgressLog(trail=self.trail, clock=self._parts.clock)
        limit = self.limit_seconds(handler)
        self._watch(self.kept, limit)
        self.trail.on_moved = self._moved
        try:
            runner = await self._runner(handler, progress)
        except Exception as error:  # noqa: BLE001 - a bad payload ends the attempt like a raise
            return outcome_of(error, handler), None
        self._attempt = Attempt(
            handler=handler,
            runner=runner,
            limit_seconds=limit,
            grace_seconds=self._parts.options.grace_seconds,
        )
        if self.kept.lost_reason is not None:
            return Lost(self.kept.lost_reason), None
        self._watch(self.kept, limit)  # anew: reading the checkpoint may have taken its time
        if self._pending_stop is not None:
            asyncio.get_running_loop().call_soon(self._attempt.stop, *self._pending_stop)
        outcome = await self._attempt.run()
        await progress.close()
        return outcome, self._attempt

    def limit_seconds(self, handler: Handler | None) -> float:
        """Return the time limit of an attempt: the job's, the handler's or the fleet's."""
        said = self.claimed.request.timeout_seconds or (handler and handler.timeout)
        return said or self.claimed.defaults.timeout_seconds

    def rest_on(self, lease: Lease, kept: KeptLease) -> None:
        """Rest on another lease from now on."""
        kept.give_up_at = self.kept.give_up_at
        self.claimed, self.kept = replace(self.claimed, lease=lease), kept
        self._listen(kept)

    def _watch(self, kept: KeptLease, limit: float) -> None:
        now = self._parts.clock.boottime()
        kept.give_up_at = now + limit + self._parts.options.grace_seconds + 5
        self._listen(kept)

    def _listen(self, kept: KeptLease) -> None:
        kept.on_lost = lambda reason: self.stop(Stop.LEASE_LOST, reason)
        kept.on_renewed = self.look_for_cancel

    async def _runner(self, handler: Handler, progress: ProgressLog) -> Runner:
        head = self.trail.head
        facts = AttemptFacts(
            job=self.claimed.request,
            attempt=head.after.attempt,
            epoch=head.after.epoch,
            incarnation=head.after.incarnation,
            last_checkpoint=await self._last_checkpoint(head),
            resuming=head.after.state is State.WAITING,
            limit_seconds=self.limit_seconds(handler),
        )
        payload = self.claimed.request.payload
        return runner_for(handler, payload, facts, progress, self.waiting_room)

    async def _last_checkpoint(self, head: Event) -> Any:
        """Storage in trouble costs no attempt: it is asked again until the attempt is stopped.

        Raises:
            DataMissing: a checkpoint is not there any more; the attempt fails.
        """
        for pause in pauses():
            try:
                return await last_checkpoint(head, self._parts.backend)
            except DataMissing:
                raise
            except BackendError as error:
                _log.warning(CHECKPOINT_AWAITED, error=str(error))
            if self._pending_stop is not None:
                return None
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    def _moved(self, newest: Event) -> None:
        if not self.trail.holds(newest):
            after = newest.after
            self.ended_outside = after.state.is_terminal and after.epoch == self.trail.epoch
            said = f"is {after.state.value}" if self.ended_outside else "runs elsewhere"
            self.stop(Stop.LEASE_LOST, f"the job {said}, in epoch {after.epoch}")
        elif newest.after.cancel_requested:
            self.stop(Stop.CANCEL)

    async def _look(self) -> None:
        while self._to_look:
            self._to_look = False
            try:
                newest = await self._parts.backend.trail.newest(self.trail.head.job_id)
            except BackendError:
                return
            if newest is not None and not self.trail.is_closed:
                self._moved(newest)


class ExecutionParts:
    """What every execution of a worker shares."""

    def __init__(
        self,
        *,
        backend: Backend,
        clock: Clock,
        options: WorkerOptions,
        handlers: Handlers,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self.backend = backend
        self.clock = clock
        self.options = options
        self.handlers = handlers
        self.metrics = metrics
