"""Jobs whose messages end the workers that take them, before any claim.

A claim counts a loss in the trail. Code of the user's also runs before the claim, as a function
that makes a lock key does. If it ends the process, only the message knows of the loss.
"""

from __future__ import annotations

from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import AuditTrail, Clock
from jobfleet_contracts.state import CLAIMABLE, Status
from jobfleet_protocol.claiming.acceptance import NoRequest
from jobfleet_protocol.claiming.decision import Attended, Ended
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

LOST_BEFORE_CLAIM = 10
"""Workers that a message may cost before its job ends; below ``DELIVERY_LIMIT``."""


class UnstartableJobs:
    """Ends them without a claim, so that none of their code runs."""

    def __init__(
        self, *, trail: AuditTrail, writer: TrailWriter, clock: Clock, worker_id: str
    ) -> None:
        self._trail = trail
        self._writer = writer
        self._clock = clock
        self._worker_id = worker_id

    async def end(
        self, message: JobMessage, lost_workers: int
    ) -> Ended | Attended | NoRequest | None:
        """End the job of a message that cost ten workers; conclude one of a job that has ended.

        A copy counts its own losses. So a job that its first copy has ended would go on to end
        workers by its other copies, if their losses alone decided.

        Returns:
            ``NoRequest``: there is no job yet; dead-letter the message. ``Attended``: the message
            is of an earlier incarnation; drop it, since a redrive publishes its own. ``None``:
            claim the job as always, since its own trail says more, or too few workers were lost.

        Raises:
            BackendUnavailable: storage does not answer; try again.
        """
        reason = f"{lost_workers} workers were lost before they could start the job"
        while True:
            head = await self._trail.newest(message.request.job_id)
            if head is None:
                return NoRequest(reason) if lost_workers >= LOST_BEFORE_CLAIM else None
            if head.is_readable and head.after.state.is_terminal:
                return Ended(head, written=False)
            if head.is_readable and message.incarnation < head.after.incarnation:
                # Its losses are the earlier incarnation's. Claimed under that count, the redriven
                # job would fail at once; claimed without it, each old copy could cost workers anew.
                return Attended(head)
            if not head.is_readable or head.after.state not in CLAIMABLE:
                return None
            if lost_workers < LOST_BEFORE_CLAIM:
                return None
            # No lease is needed: a worker that claims the job meanwhile inserts the same sequence.
            change = self._ending(reason, is_cancelled=head.after.cancel_requested)
            ended = draft(head, head.facts, change, occurred_at=self._clock.now())
            if await self._writer.append([ended]) is None:
                return Ended(ended, written=True)

    def _ending(self, reason: str, *, is_cancelled: bool) -> Change:
        if is_cancelled:
            message = "cancelled before it ran"
            return Change(kind=Status.CANCELLED, worker_id=self._worker_id, message=message)
        error = {"type": "WorkerLost", "message": reason, "traceback": ""}
        return Change(
            kind=Status.FAILED, worker_id=self._worker_id, message=reason, data={"error": error}
        )
