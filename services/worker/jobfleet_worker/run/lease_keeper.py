"""Renews leases from a thread of its own, and ends trust in those that cannot be renewed.

A blocked event loop costs no lease until a job is past its time limit and grace period and the loop
has not answered for ``ANSWER_SECONDS``. So the thread never waits for the handlers' loop. It tells
that loop of renewals and losses, asks it to answer, and reads which of its tasks runs. Trust is
counted from before a request was sent, never from its reply.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from jobfleet_contracts.errors import BackendError, LeaseConflict, LockMissing
from jobfleet_contracts.lease import SUSPECT_NOTE, Lease, is_worker_lock, safety_margin
from jobfleet_contracts.ports import Clock, RenewalLeases
from jobfleet_worker.handlers.runners import job_of_handler
from jobfleet_worker.metrics.port import NO_METRICS, Metrics

LEASE_RENEWED = "lease.renewed"
LEASE_LOST = "lease.lost"
RENEWAL_FAILED = "renewal.failed"
LOOP_BLOCKED = "loop.blocked"
NOTE_FAILED = "lock_note.failed"
KEEPER_FAILED = "lease_keeper.failed"
TICK_SECONDS = 0.2
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 10.0
"""In which the worker's loop must answer, once a job is past its time limit and grace period."""

OVERDUE = "the attempt did not end within its time limit"
LOOP_SILENT = "the worker's loop does not answer, and a job is past its time limit"


OpenLeases = Callable[[], tuple[RenewalLeases, Callable[[], Awaitable[None]]]]

_log = structlog.get_logger()


@dataclass(slots=True)
class Watch:
    """The callbacks of one job that rests on a lease.

    Attributes:
        give_up_at: boot-time seconds after which the job no longer keeps the lease, whatever its
            handler does.
        on_overdue: its time is over, and the loop still answers; called for a worker's own lock.
    """

    give_up_at: float
    on_lost: Callable[[str], None]
    on_renewed: Callable[[], None]
    on_overdue: Callable[[], None]


class KeptLease:
    """A lease under renewal, and the jobs that rest on it: many, if it is a worker's own lock.

    Attributes:
        trusted_until: boot-time seconds; moves on with each renewal.
        lost_reason: why it is relied on no more; once set, nothing makes it trusted again.
        asked_at: boot-time seconds at which the owner's loop was asked whether it still answers.
    """

    def __init__(
        self, lease: Lease, loop: asyncio.AbstractEventLoop, next_renewal: float, clock: Clock
    ) -> None:
        self.lease = lease
        self.trusted_until = lease.trusted_until
        self.next_renewal = next_renewal
        self.renewing = False
        self.lost_reason: str | None = None
        self.asked_at: float | None = None
        self._watches: dict[object, Watch] = {}
        self._loop = loop
        self._clock = clock

    @property
    def lock(self) -> str:
        """The lock's name."""
        return self.lease.lock

    @property
    def jobs(self) -> int:
        """How many jobs rest on it."""
        return len(self._watches)

    def is_trusted(self) -> bool:
        """Whether it may be relied on now.

        By the clock too: after a pause the handlers' loop may run before the keeper's thread.
        """
        return self.lost_reason is None and self._clock.boottime() < self.trusted_until

    def current(self) -> Lease:
        """Return the lease with the trust that renewals have earned."""
        return Lease(self.lease.lock, self.lease.owner, self.lease.lease_id, self.trusted_until)

    def watch(self, job: object, watch: Watch) -> None:
        """Tell a job of the loss and of renewals, on the owner's event loop, until it leaves."""
        self._watches[job] = watch

    def leave(self, job: object) -> Watch | None:
        """Forget a job's callbacks, and return them."""
        return self._watches.pop(job, None)

    def overdue(self, now: float) -> list[Watch]:
        """Return what is told to the jobs whose time is over. Call it from any thread."""
        # A copy: meanwhile the other thread adds and removes jobs, and iterating over a dict that
        # changes raises RuntimeError.
        return [watch for watch in list(self._watches.values()) if now >= watch.give_up_at]

    def ask(self, now: float) -> None:
        """Ask the owner's loop to answer; it then tells the jobs that their time is over."""
        self.asked_at = now
        self._tell(self._answer)

    def running_task(self) -> asyncio.Task[object] | None:
        """Return the task that runs on the owner's loop now. Call it from any thread."""
        return asyncio.current_task(self._loop)

    def tell_lost(self, reason: str) -> None:
        """Note the loss, and tell the jobs that rest on this lease."""
        # First: a job that begins to watch after the copy below is told of nothing. It reads the
        # reason once it watches (`JobRun._watch`).
        self.lost_reason = reason
        for watch in list(self._watches.values()):  # a copy, as in `overdue`
            self._tell(watch.on_lost, reason)

    def tell_renewed(self) -> None:
        """Tell the jobs that rest on this lease."""
        for watch in list(self._watches.values()):  # a copy, as in `overdue`
            self._tell(watch.on_renewed)

    def _answer(self) -> None:
        self.asked_at = None
        for watch in self.overdue(self._clock.boottime()):
            watch.on_overdue()

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        """Run ``callback`` on the owner's loop; do nothing if that is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)


class LeaseKeeper:
    """One thread that keeps all leases of a worker.

    Args:
        loop: runs the renewals instead of a thread of their own; the simulation's thread.
    """

    def __init__(
        self,
        *,
        open_leases: OpenLeases,
        lease_seconds: float,
        renew_seconds: float,
        clock: Clock,
        loop: asyncio.AbstractEventLoop | None = None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._open_leases = open_leases
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._clock = clock
        self._metrics = metrics
        self._kept: dict[str, KeptLease] = {}
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._renewals: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self._loop = loop
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the thread."""
        if self._loop is None:
            self._thread.start()
        else:
            self._task = self._loop.create_task(self._keep_all(), name="lease-keeper")

    def stop(self) -> None:
        """End the thread; leases still kept run out."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def keep(self, lease: Lease) -> KeptLease:
        """Renew a lease from now on; call from the loop that is to be told of a loss."""
        margin = safety_margin(self._lease_seconds)
        acquired_at = lease.trusted_until - self._lease_seconds + margin
        next_renewal = acquired_at + self._renew_seconds
        kept = KeptLease(lease, asyncio.get_running_loop(), next_renewal, self._clock)
        with self._guard:
            self._kept[lease.lease_id] = kept
        return kept

    def drop(self, kept: KeptLease) -> None:
        """Renew it no more."""
        with self._guard:
            self._kept.pop(kept.lease.lease_id, None)

    def give_up(self, kept: KeptLease, reason: str) -> None:
        """End trust in a lease that could be kept, and renew it no more; call it from any thread.

        The lease itself runs out: a handler that has yet to stop may still use it.
        """
        self._lose(kept, reason)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._keep_all())
            except Exception:  # noqa: BLE001 - without the thread no lease would ever be found lost
                _log.exception(KEEPER_FAILED)
                self._stopping.wait(RETRY_SECONDS)

    async def _keep_all(self) -> None:
        leases, close = self._open_leases()
        try:
            while not self._stopping.is_set():
                with self._guard:
                    kept = list(self._kept.values())
                for each in kept:
                    self._look_after(each, leases)
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for task in self._renewals:
                task.cancel()
            await asyncio.gather(*self._renewals, return_exceptions=True)
            await close()

    def _look_after(self, kept: KeptLease, leases: RenewalLeases) -> None:
        now = self._clock.boottime()
        if now >= kept.trusted_until:
            self._lose(kept, "it could not be renewed in time")
        elif kept.overdue(now) and not self._outlives_overdue(kept, now):
            if kept.asked_at is None:
                self._lose(kept, OVERDUE)
            else:
                self._start(self._lose_with_suspect(kept, leases), f"suspect-{kept.lock}")
        elif now >= kept.next_renewal and not kept.renewing:
            kept.renewing = True
            self._start(self._renew(kept, leases), f"renew-{kept.lock}")

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)

    def _outlives_overdue(self, kept: KeptLease, now: float) -> bool:
        """Whether the lease is renewed beyond the time limit of a job that rests on it.

        Many jobs rest on a worker's own lock. One of them is ended by the worker's loop; only a
        loop that does not answer costs all of them their lease.
        """
        if not is_worker_lock(kept.lock):
            return False
        if kept.asked_at is None:
            kept.ask(now)
            return True
        return now - kept.asked_at < ANSWER_SECONDS

    async def _lose_with_suspect(self, kept: KeptLease, leases: RenewalLeases) -> None:
        """Name the job that blocks the loop in the lock's note, and end the lease.

        A worker that takes over a job of this lock reads the note: the loss does not count for the
        other jobs.
        """
        suspect = job_of_handler(kept.running_task())
        self._lose(kept, LOOP_SILENT)
        if suspect is None:
            return
        _log.warning(LOOP_BLOCKED, lock=kept.lock, job_id=suspect)
        try:
            await leases.write_note(kept.lock, kept.lease.lease_id, {SUSPECT_NOTE: suspect})
        except BackendError as error:
            _log.warning(NOTE_FAILED, lock=kept.lock, error=str(error))

    async def _renew(self, kept: KeptLease, leases: RenewalLeases) -> None:
        # Read before the request is sent. The server counts the lease from when it took the
        # request. By the time of the answer trust would outlive the lease, while another worker
        # may already hold it.
        sent_at = self._clock.boottime()
        try:
            await leases.renew(kept.lock, kept.lease.lease_id, self._lease_seconds)
        except (LeaseConflict, LockMissing) as error:
            self._lose(kept, f"renewal was refused: {error}")
        except BackendError as error:
            # No answer is not a loss: the lease runs on, and so does trust, until its own end.
            _log.warning(RENEWAL_FAILED, lock=kept.lock, error=str(error))
            kept.next_renewal = self._clock.boottime() + RETRY_SECONDS
        else:
            self._renewed(kept, sent_at)
        finally:
            kept.renewing = False

    def _renewed(self, kept: KeptLease, sent_at: float) -> None:
        if kept.lost_reason is not None:
            return
        if self._clock.boottime() >= kept.trusted_until:
            # Others may have seen the lock free meanwhile, and taken jobs over under other locks.
            # This renewal revived the lease; trust in it must not come back.
            self._lose(kept, "the renewal was answered too late")
            return
        self._metrics.lease_renewed(max(kept.trusted_until - self._clock.boottime(), 0.0))
        kept.trusted_until = sent_at + self._lease_seconds - safety_margin(self._lease_seconds)
        kept.next_renewal = sent_at + self._renew_seconds
        _log.debug(LEASE_RENEWED, lock=kept.lock)
        kept.tell_renewed()

    def _lose(self, kept: KeptLease, reason: str) -> None:
        with self._guard:
            if self._kept.pop(kept.lease.lease_id, None) is None:
                return
        _log.warning(LEASE_LOST, lock=kept.lock, reason=reason)
        kept.tell_lost(reason)
