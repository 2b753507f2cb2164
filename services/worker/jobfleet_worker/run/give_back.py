"""Writes that a claimed job was given up, where its lock lives on: a worker's own.

A job's own lock runs out when its worker gives the job up, and the rescuer finds it free. On a
worker's lock the job would look attended for as long as the worker lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import CLAIMABLE, State, Status
from jobfleet_protocol.claiming.claim_result import Unclear
from jobfleet_protocol.claiming.lost_for_good import lost_for_good, taken_from
from jobfleet_protocol.retry import retry_forever
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

GIVEN_BACK = "job.given_back"
GIVING_BACK_FAILED = "job.give_back_failed"
INTERNAL = "internal"
"""Reason of a deferral: the worker met an error of its own after the claim."""
AGAIN_AFTER = timedelta(seconds=60)
"""An error of our own may come again at once, at any worker."""

_log = structlog.get_logger()


class GiveBack:
    """Appends ``Deferred`` until storage answers.

    Args:
        retire: lets no claim rest on a lock any more, and releases it; called if nothing can
            be written for the length of a lease.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        writer: TrailWriter,
        clock: Clock,
        worker_id: str,
        lease_seconds: float,
        retire: Callable[[str, str], None],
    ) -> None:
        self._trail = trail
        self._writer = writer
        self._clock = clock
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._retire = retire
        self._tasks: set[asyncio.Task[None]] = set()

    def job(self, claim: Event, lock: str) -> None:
        """See to a job whose run ended without an ending in the trail.

        Args:
            claim: the newest event that is known under this claim.
        """
        why = "an error of the worker's own ended the attempt"
        self._begin(claim.job_id, lock, claim.after.epoch, before=None, why=why)

    def unclear(self, claim: Unclear) -> None:
        """See to a claim that may be in the trail, or may still land there."""
        head = claim.head
        self._begin(
            head.job_id, claim.lock, head.after.epoch + 1, before=head.sequence, why=claim.why
        )

    async def settle(self, seconds: float) -> None:
        """Wait for what is under way, at most ``seconds``."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _begin(self, job_id: str, lock: str, epoch: int, *, before: int | None, why: str) -> None:
        answering = self._until_written(job_id, lock, epoch, before=before, why=why)
        task = asyncio.create_task(answering, name=f"give-back-{job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_written(
        self, job_id: str, lock: str, epoch: int, *, before: int | None, why: str
    ) -> None:
        writing = asyncio.create_task(
            self._write(job_id, lock, epoch, before=before, why=why), name=f"deferred-{job_id}"
        )
        done, _ = await asyncio.wait({writing}, timeout=self._lease_seconds)
        try:
            if not done:
                self._retire(lock, f"job {job_id} cannot be given back: storage does not answer")
            await writing
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must be found free
            _log.exception(GIVING_BACK_FAILED, job_id=job_id)
            self._retire(lock, f"job {job_id} cannot be given back: {error}")

    async def _write(
        self, job_id: str, lock: str, epoch: int, *, before: int | None, why: str
    ) -> None:
        while True:
            head = await retry_forever(lambda: self._trail.newest(job_id))
            if head is None:
                return
            events: list[Event] = []
            for change in self._answer(head, lock, epoch, before, why):
                previous = events[-1] if events else head
                now = self._clock.now()
                events.append(draft(previous, head.facts, change, occurred_at=now))
            if not events:
                return
            if await self._writer.append(events) is None:
                _log.warning(GIVEN_BACK, job_id=job_id, epoch=epoch)
                return

    def _answer(
        self, head: Event, lock: str, epoch: int, before: int | None, why: str
    ) -> list[Change]:
        """Return what gives the job back on top of its newest event; nothing: it is not ours."""
        after = head.after
        running = after.state is State.RUNNING
        mine = after.lock == lock and after.worker_id == self._worker_id and after.epoch == epoch
        if mine and running:
            # Its handler may have begun, unless it is known that the claim alone failed.
            if before is None and after.max_takeovers == 0:
                return [lost_for_good(1, self._worker_id)]
            return [self._deferred(why)]
        if head.sequence != before:
            return []
        # The claim does not stand. A copy of it may still be on its way: this row takes its place.
        if after.state in CLAIMABLE:
            return [self._deferred(why)]
        return taken_from(after, self._worker_id) if running else []

    def _deferred(self, message: str) -> Change:
        return Change(
            kind=Status.DEFERRED,
            worker_id=self._worker_id,
            due_at=self._clock.now() + AGAIN_AFTER,
            message=message,
            data={"reason": INTERNAL},
        )
