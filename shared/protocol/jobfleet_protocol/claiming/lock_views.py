"""What a worker knows about the locks of a job when it decides: the reads before a decision."""

from __future__ import annotations

from jobfleet_contracts.errors import LockMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import SUSPECT_NOTE, is_worker_lock
from jobfleet_contracts.ports import LeaseStore, LockRecords
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.claim_parts import ClaimTry, JobRules, ReadPauses
from jobfleet_protocol.claiming.decision import LockAttempt, LockView
from jobfleet_protocol.claiming.lock_leases import locks_of


class LockViews:
    """Reads who holds what, for the decisions of one worker."""

    def __init__(
        self,
        *,
        leases: LeaseStore,
        locks: LockRecords,
        worker_id: str,
        rules: JobRules,
        pauses: ReadPauses,
    ) -> None:
        self._leases = leases
        self._locks = locks
        self._worker_id = worker_id
        self._rules = rules
        self._pauses = pauses

    async def view(self, claim: ClaimTry, head: Event, lock: str, attempt: LockAttempt) -> LockView:
        """Return what is known about the locks of the job whose newest row is ``head``.

        Args:
            lock: that this worker holds for the claim, or a lock of the job if it holds none.
            attempt: what came of the attempt to lease it.
        """
        rules, message = self._rules, claim.message
        held = lock if attempt is LockAttempt.HELD else None
        holder_lives = await self._holder_lives(head, held)
        return LockView(
            lock=lock,
            lock_slots=() if is_worker_lock(lock) else locks_of(message.request),
            worker_id=self._worker_id,
            attempt=attempt,
            holder_lives=holder_lives,
            resend_only=claim.resend_only,
            max_attempts=rules.attempt_limit(message.request, message.defaults or rules.defaults),
            max_takeovers=rules.takeover_limit(message.request),
            is_alone=claim.is_alone,
            suspect=None if holder_lives else await self._suspect(head),
            # Last: a claim without rates, limits and shared lock awaits nothing from here to the
            # append, so no pause can come in between. The other claims do await, and look at the
            # pauses again before they append (`TrailClaim._started`).
            pause=(await self._pauses()).holding_job(head),
        )

    async def _suspect(self, head: Event) -> str | None:
        """Return which job blocked the loop of a lost worker, as the note of its lock says."""
        lock = head.after.lock
        if head.after.state is not State.RUNNING or lock is None or not is_worker_lock(lock):
            return None
        try:
            return (await self._locks.read_note(lock)).get(SUSPECT_NOTE)
        except LockMissing:
            return None

    async def _holder_lives(self, head: Event, held: str | None) -> bool:
        """Ask whether the lock of a running job is leased.

        The one that we hold is ours: its earlier holder is gone. On this worker's own lock the
        job runs here.
        """
        lock = head.after.lock
        if head.after.state is not State.RUNNING or lock is None:
            return False
        if lock == held:
            return is_worker_lock(lock)
        return await self._leases.is_leased(lock)
