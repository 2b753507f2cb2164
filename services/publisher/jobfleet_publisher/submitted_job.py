"""A job as its submitter holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.state import State
from jobfleet_contracts.transaction import UserTransactions
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.cancellation import Canceller
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_publisher.job_result import JobResult

FIRST_LOOK_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0
NOT_COMMITTED = "the transaction in which it was submitted is open; commit it first"


class SubmittedJob:
    """Follows one job; any number of them may wait at once."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        payloads: PayloadStore,
        canceller: Canceller,
        job_id: str,
        submitted: State,
        created: bool,
        warning: str | None = None,
        transaction: str | None = None,
        transactions: UserTransactions | None = None,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        """Made by the publisher.

        Args:
            submitted: the state in which the submit found or left the job.
            created: whether this submit made it; false for a repetition.
            warning: what the submitter should know, ``None`` for nothing: open jobs of the same
                lock key allow another number at a time.
            transaction: the submitter's own; the job exists only if it commits.
            transactions: tells what became of it.
            coder: decodes its result.
        """
        self.job_id = job_id
        self.submitted = submitted
        self.created = created
        self.warning = warning
        self._trail = trail
        self._payloads = payloads
        self._canceller = canceller
        self._transaction = transaction
        self._transactions = transactions
        self._coder = coder

    async def state(self) -> State:
        """Return where the job stands now.

        Raises:
            UnknownJob: the transaction in which it was submitted was rolled back.
            ActionRefused: that transaction is open; commit it first.
            BackendUnavailable: the trail does not answer.
        """
        return (await self._newest()).after.state

    async def wait(
        self,
        timeout: float | None = None,
        *,
        progress: Callable[[Event], object] | None = None,
    ) -> JobResult:
        """Wait until the job has ended.

        Outages are waited through: an unanswered look says nothing of the job.

        Args:
            timeout: seconds; ``None`` waits for as long as it takes.
            progress: is called with the job's newest event whenever a look finds another one.

        Raises:
            TimeoutError: not ended in time. The job goes on; wait again or cancel it.
            UnknownJob: the transaction in which it was submitted was rolled back.
            ActionRefused: that transaction is open; commit it first.
        """
        async with asyncio.timeout(timeout):
            event = await self._ended(progress)
            return JobResult.of(self._coder.opened(await resolve(event, self._payloads)))

    async def cancel(self, *, by: str | None = None, reason: str = "") -> State:
        """Ask for the job's end; a job that no worker runs is cancelled at once.

        Returns:
            ``cancelled``, or the unchanged state where a worker has to act first.

        Raises:
            ActionRefused: the job has ended already.
        """
        if self._transaction is not None:
            await self._newest()
        return await self._canceller.cancel(self.job_id, by=by, reason=reason)

    async def _newest(self) -> Event:
        event = await self._trail.newest(self.job_id)
        if event is None and self._transaction is not None and self._transactions is not None:
            state = await self._transactions.state(self._transaction)
            if state == "open":
                raise ActionRefused(f"job {self.job_id}: {NOT_COMMITTED}")
            event = await self._trail.newest(self.job_id)
        if event is None:
            raise UnknownJob(f"no job {self.job_id}")
        return event

    async def _ended(self, progress: Callable[[Event], object] | None) -> Event:
        pause, seen = FIRST_LOOK_SECONDS, 0
        while True:
            try:
                event = await self._newest()
            except BackendUnavailable:
                pause = LONGEST_PAUSE_SECONDS
            else:
                if progress is not None and event.sequence > seen:
                    progress(self._coder.opened(event))
                    seen = event.sequence
                if event.after.state.is_terminal:
                    return event
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)

    def __repr__(self) -> str:
        return f"SubmittedJob({self.job_id!r})"
