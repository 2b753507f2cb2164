"""What a claim writes, on top of the newest event: decided in one place, without any request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.trail.transitions import Change

MAX_TAKEOVERS = 5
"""More running attempts lost in a row than this end the job: it kills its workers."""

AttemptLimit = Callable[[JobRequest, JobDefaults], int]


class ClaimDecision:
    """Decides for one worker.

    Args:
        attempt_limit: how many attempts a job has, by its request, handler and defaults.
    """

    def __init__(
        self, *, clock: Clock, worker_id: str, defaults: JobDefaults, attempt_limit: AttemptLimit
    ) -> None:
        self._clock = clock
        self._worker_id = worker_id
        self._defaults = defaults
        self._attempt_limit = attempt_limit

    def changes(
        self, message: JobMessage, lease: Lease, head: Event, turn: int | None
    ) -> list[Change]:
        """Return ``Started``, or what a cancel request, lost workers or a wait make of it."""
        after = head.after
        running = after.state is State.RUNNING
        taken = [self._taken_over(head)] if running else []
        if after.cancel_requested:
            return [*taken, self._change("Cancelled", "cancelled before it ran again")]
        if after.takeovers + running > MAX_TAKEOVERS:
            return [*taken, self._crash_loop(after.takeovers + running)]
        if after.state is State.WAITING:
            again = "the request is sent again: it is not known to have arrived"
            return [self._change("TakenOver", again)]
        if running:
            taken = [self._taken_over(head, continues=True)]
        return [*taken, self._started(message, lease, head, turn)]

    def _change(self, status: str, message: str) -> Change:
        return Change(status=status, worker_id=self._worker_id, message=message)

    def _taken_over(self, head: Event, *, continues: bool = False) -> Change:
        return Change(
            status="TakenOver",
            worker_id=self._worker_id,
            continues=continues,
            message=f"worker {head.after.worker_id} was lost",
        )

    def _crash_loop(self, lost: int) -> Change:
        message = f"its worker was lost {lost} times in a row"
        error = {"type": "WorkerLost", "message": message, "traceback": ""}
        return Change(
            status="Failed", worker_id=self._worker_id, message=message, data={"error": error}
        )

    def _started(self, message: JobMessage, lease: Lease, head: Event, turn: int | None) -> Change:
        limit = self._attempt_limit(message.request, message.defaults or self._defaults)
        return Change(
            status="Started",
            worker_id=self._worker_id,
            lock=lease.lock,
            lock_turn=turn,
            max_attempts=limit,
            duration_ms=self._waited_ms(head),
            message=f"attempt {head.after.attempts_used + 1} of {limit}",
        )

    def _waited_ms(self, head: Event) -> int | None:
        """Return how long it was due; nobody knows since when, where its worker was lost."""
        if head.after.state is State.RUNNING:
            return None
        due = head.after.due_at or head.occurred_at
        return max(0, round((self._clock.now() - due) / timedelta(milliseconds=1)))
