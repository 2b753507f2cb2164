"""Puts off jobs whose type or encryption key this worker lacks: another worker may have it."""

from __future__ import annotations

from datetime import datetime, timedelta

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import AuditTrail, Clock, LeaseStore
from jobfleet_contracts.state import CLAIMABLE, State
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.run.deferral import NO_HANDLER, Deferral

SILENT_BEATS = 3
"""Heartbeats that a worker may miss and still counts as alive."""


async def needs_handler(head: Event, leases: LeaseStore, clock: Clock) -> bool:
    """Return whether a claim of the job would start its handler.

    If not, it does what needs none: ended, cancelled, not due, running elsewhere.

    Raises:
        BackendError: the lease cannot be asked for.
    """
    after = head.after
    if after.cancel_requested:
        return False
    is_due = after.due_at is None or after.due_at <= clock.now()
    if after.state in CLAIMABLE:
        return is_due
    unsent = after.state is State.WAITING and not after.sent and not is_due
    if after.state is not State.RUNNING and not unsent:
        return False
    # If the holder is alive, the claim finds that out and drops the message.
    return after.lock is None or not await leases.is_leased(after.lock)


async def is_run(head: Event, leases: LeaseStore, clock: Clock) -> bool:
    """Return whether a live worker runs the job, or sends its request.

    Raises:
        BackendError: the lease cannot be asked for.
    """
    after = head.after
    unsent = after.state is State.WAITING and not after.sent
    is_due = after.due_at is None or after.due_at <= clock.now()
    if after.cancel_requested or not (after.state is State.RUNNING or (unsent and not is_due)):
        return False
    return after.lock is not None and await leases.is_leased(after.lock)


class HandlerGate:
    """Decides before the claim; needs no lease.

    A type that no worker has fails after a grace. It counts from the job's ``Deferred`` with reason
    ``noHandler``, from the start of this worker, or from when this worker last saw another one that
    has the type, or the row of one that stopped or fell silent: whichever is the latest. So a
    worker that restarts loses no jobs of its types.

    A job whose key no worker has never fails: its values can still be read once the key is back.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        leases: LeaseStore,
        directory: WorkerDirectory,
        deferral: Deferral,
        handlers: Handlers,
        options: WorkerOptions,
        clock: Clock,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._trail = trail
        self._leases = leases
        self._directory = directory
        self._deferral = deferral
        self._handlers = handlers
        self._grace_seconds = options.no_handler_seconds
        beats = SILENT_BEATS * options.heartbeat_seconds
        self._recent_seconds = beats + options.drain_seconds
        self._beats: dict[str, tuple[datetime, float]] = {}
        self._clock = clock
        self._started_at = clock.boottime()
        self._last_seen: dict[tuple[str, str], float] = {}

    def has_all(self, message: JobMessage) -> bool:
        """Whether this worker has handler and key of the message's job: nothing puts it off."""
        request = message.request
        has_handler = self._handlers.get(request.type) is not None
        return has_handler and self._coder.lacks_key_of(request) is None

    async def puts_off(self, message: JobMessage) -> bool:
        """Put the message off, or drop it, if another worker may have what this one lacks.

        Returns:
            Whether it was put off or dropped. If not, claim the job. A claim without the handler
            fails the job, unless no handler is needed: the job has ended, is cancelled or not due.

        Raises:
            BackendError: the trail cannot be read or written; keep the delivery and try again.
        """
        if self.has_all(message):
            return False
        request = message.request
        if self._handlers.get(request.type) is not None:
            key = self._coder.lacks_key_of(request)
            return key is not None and await self._puts_off_encoded(message, key)
        if self._grace_seconds <= 0:
            return False
        head = await self._trail.newest(request.job_id)
        # If the job exists, its stored type counts. By a forged message's type it would fail.
        facts = JobFacts.of(request) if head is None else head.facts
        if self._handlers.get(facts.job_type) is not None:
            return False
        seen = None if head is None else await self._is_elsewhere(head)
        if seen is not None:
            return seen
        is_served = await self._is_served(facts.job_type, facts.queue)
        if not is_served and self._is_over(facts, head):
            return False
        await self._deferral.until_handled(message, head)
        return True

    async def _puts_off_encoded(self, message: JobMessage, key: str) -> bool:
        head = await self._trail.newest(message.request.job_id)
        seen = None if head is None else await self._is_elsewhere(head)
        if seen is not None:
            return seen
        await self._deferral.until_handled(message, head, key=key)
        return True

    async def _is_elsewhere(self, head: Event) -> bool | None:
        """Return ``True`` if a worker runs the job, ``False`` if it needs no handler.

        ``None``: it would start here. The message of a job that runs is dropped.
        """
        if await is_run(head, self._leases, self._clock):
            # The claim comes too late for this check. By then the job may have been put off, and
            # this worker would start a job that it cannot run, once for each copy of the message.
            await self._deferral.drop(head)
            return True
        return None if await needs_handler(head, self._leases, self._clock) else False

    async def is_given_up(self, job_type: str, queue: str) -> bool:
        """Return whether no worker of the queue has had the type for the whole grace.

        A job can be claimed although this worker lacks its type: between the look and the claim its
        holder may have vanished, or its due time may have come.
        """
        if self._grace_seconds <= 0:
            return True
        return not await self._is_served(job_type, queue) and self._is_silent(job_type, queue)

    async def _is_served(self, job_type: str, queue: str) -> bool:
        """Ask the directory. One that cannot be read says nothing, so the job is put off."""
        try:
            # A worker that has just stopped is about to come back: an update restarts it.
            workers = await self._directory.workers(with_stopped=True)
        except BackendError:
            return True
        able = [each for each in workers if job_type in each.types and queue in each.queues]
        recent = [each for each in able if self._is_recent(each)]
        gone = self._beats.keys() - {each.worker_id for each in workers}
        for worker_id in gone:
            del self._beats[worker_id]
        if recent:
            self._last_seen[job_type, queue] = self._clock.boottime()
        return bool(recent)

    def _is_recent(self, worker: WorkerStatus) -> bool:
        """Return whether the heartbeat changed recently. Its time may be of a wrong clock."""
        now = self._clock.boottime()
        beat, seen_at = self._beats.get(worker.worker_id, (None, now))
        if beat != worker.heartbeat_at:
            seen_at = now
            self._beats[worker.worker_id] = (worker.heartbeat_at, now)
        return now - seen_at <= self._recent_seconds

    def _is_over(self, facts: JobFacts, head: Event | None) -> bool:
        if not self._is_silent(facts.job_type, facts.queue):
            return False
        if head is not None and head.after.state in CLAIMABLE:
            if head.data.get("reason") != NO_HANDLER:
                return False  # put off for the first time: its grace begins
            put_off_for = self._clock.now() - head.occurred_at
            return put_off_for >= timedelta(seconds=self._grace_seconds)
        return True

    def _is_silent(self, job_type: str, queue: str) -> bool:
        seen_at = self._last_seen.get((job_type, queue), self._started_at)
        return self._clock.boottime() - seen_at >= self._grace_seconds
