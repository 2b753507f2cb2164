"""Runs claimed jobs, and holds the runs of one worker by job id."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_worker.run.attempt import Stop
from jobfleet_worker.run.held_lock_slots import HeldLockSlots
from jobfleet_worker.run.job_run import JobRun
from jobfleet_worker.run.lease_keeper import KeptLease
from jobfleet_worker.run.run_lease import RunLease
from jobfleet_worker.run.run_parts import RunParts
from jobfleet_worker.run.run_tally import RunTally
from jobfleet_worker.run.slots import Slots

EARLY_CANCELS = 1000
"""Cancel messages remembered for jobs whose claim is just being written."""


class Executor:
    """Runs claimed jobs, and knows which of them run.

    Attributes:
        running: by job id.
    """

    def __init__(self, *, parts: RunParts, ended: Callable[[], None] = lambda: None) -> None:
        """Take what all runs share; ``ended`` is called whenever one has left its slot."""
        self._ended = ended
        self.running: dict[str, JobRun] = {}
        self._parts = parts
        self._is_stopping = False
        self._early_cancels: deque[str] = deque(maxlen=EARLY_CANCELS)

    @property
    def slots(self) -> Slots:
        """The worker's slots."""
        return self._parts.slots

    @property
    def tally(self) -> RunTally:
        """What the worker has run since it started."""
        return self._parts.tally

    def note_cancel(self, job_id: str) -> None:
        """Read this job's trail for a cancel request, now or as soon as its claim is known here."""
        run = self.running.get(job_id)
        if run is not None:
            run.look_for_cancel()
        else:
            self._early_cancels.append(job_id)

    def leave_abandoned(self) -> None:
        """Nothing starts any more, so no slot has to wait for a handler that was left behind."""
        self._parts.no_more_starts.set()

    def stop_all(self) -> None:
        """Hand back whatever runs, and whatever is claimed from here on."""
        self._is_stopping = True
        self.leave_abandoned()
        for run in list(self.running.values()):
            run.stop(Stop.SHUTDOWN)

    async def run(self, claimed: Claimed, lasting: KeptLease | None = None) -> None:
        """Run a claimed job to the end of its attempt; returns when its slot is free again.

        Args:
            lasting: a lease that the worker keeps beyond the run, on which the claim may rest: the
                fleet's, or the worker's own.
        """
        lease = RunLease(claimed.lease, keeper=self._parts.keeper, lasting=lasting)
        lock_slots = HeldLockSlots(claimed.slot_leases, keeper=self._parts.keeper)
        try:
            run = JobRun(
                claimed=claimed, lease=lease, held_lock_slots=lock_slots, parts=self._parts
            )
            with self._registered(claimed.trail.head.job_id, run):
                await run.run()
        except Exception:
            # Any error of our own; it goes on to the caller. The worker's lease lives on, and a job
            # left running under it would look attended for ever.
            if lease.is_left_to_worker:
                self._parts.give_back.job(claimed.trail.head, lease.kept.lock)
            raise
        finally:
            # Whatever failed: a lease that is renewed on would keep the job from being rescued.
            lease.drop()
            lock_slots.drop()

    @contextmanager
    def _registered(self, job_id: str, run: JobRun) -> Iterator[None]:
        self.running[job_id] = run
        if job_id in self._early_cancels:
            run.look_for_cancel()
        if self._is_stopping:
            run.stop(Stop.SHUTDOWN)
        try:
            yield
        finally:
            if self.running.get(job_id) is run:  # an abandoned one may end after its successor
                del self.running[job_id]
            self._ended()
