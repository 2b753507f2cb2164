"""Renews leases from a thread of its own, and ends trust in those that cannot be renewed.

A blocked event loop must not cost a lease, so nothing here touches the handlers' loop except to
tell it of a loss. Trust is counted from before a request was sent, never from its reply.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import structlog

from jobfleet_contracts.errors import BackendError, LeaseConflict, LockMissing
from jobfleet_contracts.lease import Lease, safety_margin
from jobfleet_contracts.ports import Clock, LeaseStore
from jobfleet_worker.metrics.port import NO_METRICS, Metrics

LEASE_RENEWED = "lease.renewed"
LEASE_LOST = "lease.lost"
RENEWAL_FAILED = "renewal.failed"
KEEPER_FAILED = "lease_keeper.failed"
TICK_SECONDS = 0.2
RETRY_SECONDS = 1.0

OpenLeases = Callable[[], tuple[LeaseStore, Callable[[], Awaitable[None]]]]

_log = structlog.get_logger()


class KeptLease:
    """A lease under renewal.

    Attributes:
        trusted_until: boot-time seconds; moves on with each renewal.
        give_up_at: boot-time seconds after which it is renewed no more, whatever the handler does.
    """

    def __init__(self, lease: Lease, loop: asyncio.AbstractEventLoop, next_renewal: float) -> None:
        self.lease = lease
        self.trusted_until = lease.trusted_until
        self.next_renewal = next_renewal
        self.give_up_at = float("inf")
        self.renewing = False
        self.lost_reason: str | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._on_renewed: Callable[[], None] | None = None
        self._loop = loop

    @property
    def lock(self) -> str:
        """The lock's name."""
        return self.lease.lock

    def watch(
        self, *, give_up_at: float, on_lost: Callable[[str], None], on_renewed: Callable[[], None]
    ) -> None:
        """Renew it until ``give_up_at`` at most; call the listeners on the owner's event loop."""
        self.give_up_at = give_up_at
        self._on_lost, self._on_renewed = on_lost, on_renewed

    def take_over_from(self, other: KeptLease) -> None:
        """Watch for the job that rested on another lease until now."""
        self.give_up_at = other.give_up_at
        self._on_lost, self._on_renewed = other._on_lost, other._on_renewed

    def release_from_job(self) -> None:
        """Forget the limits and listeners of a job that rested on this lease."""
        self.give_up_at = float("inf")
        self._on_lost = self._on_renewed = None

    def tell_lost(self, reason: str) -> None:
        """Note the loss, and tell the job that rests on this lease."""
        self.lost_reason = reason
        on_lost = self._on_lost
        if on_lost is not None:
            self._tell(lambda: on_lost(reason))

    def tell_renewed(self) -> None:
        """Tell the job that rests on this lease."""
        if self._on_renewed is not None:
            self._tell(self._on_renewed)

    def current(self) -> Lease:
        """Return the lease with the trust that renewals have earned."""
        return Lease(self.lease.lock, self.lease.owner, self.lease.lease_id, self.trusted_until)

    def _tell(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` on the owner's loop; quiet where that is closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)


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
        kept = KeptLease(lease, asyncio.get_running_loop(), acquired_at + self._renew_seconds)
        with self._guard:
            self._kept[lease.lease_id] = kept
        return kept

    def drop(self, kept: KeptLease) -> None:
        """Renew it no more."""
        with self._guard:
            self._kept.pop(kept.lease.lease_id, None)

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

    def _look_after(self, kept: KeptLease, leases: LeaseStore) -> None:
        now = self._clock.boottime()
        if now >= kept.trusted_until:
            self._lose(kept, "it could not be renewed in time")
        elif now >= kept.give_up_at:
            self._lose(kept, "the attempt did not end within its time limit")
        elif now >= kept.next_renewal and not kept.renewing:
            kept.renewing = True
            task = asyncio.create_task(self._renew(kept, leases), name=f"renew-{kept.lock}")
            self._renewals.add(task)
            task.add_done_callback(self._renewals.discard)

    async def _renew(self, kept: KeptLease, leases: LeaseStore) -> None:
        sent_at = self._clock.boottime()
        try:
            await leases.renew(kept.lock, kept.lease.lease_id, self._lease_seconds)
        except (LeaseConflict, LockMissing) as error:
            self._lose(kept, f"renewal was refused: {error}")
        except BackendError as error:
            _log.warning(RENEWAL_FAILED, lock=kept.lock, error=str(error))
            kept.next_renewal = self._clock.boottime() + RETRY_SECONDS
        else:
            self._renewed(kept, sent_at)
        finally:
            kept.renewing = False

    def _renewed(self, kept: KeptLease, sent_at: float) -> None:
        if kept.lost_reason is not None:
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
