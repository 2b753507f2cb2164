"""What follows an attempt's recorded end: callback job, release, message, end of the open row."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime

import structlog

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import Lease, key_locks
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.outcome import Outcome
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.lock_leases import LockLeases
from jobfleet_worker.run.unsent import send_again_at, stays_waiting
from jobfleet_worker.upkeep.lock_waiters import LockWaiters

FOLLOW_UP_FAILED = "follow_up.failed"

_log = structlog.get_logger()


class FollowUp:
    """Does what is due once the outcome stands; a failure of it changes no outcome."""

    def __init__(
        self,
        *,
        leases: LockLeases,
        ending: Ending,
        publication: Publication,
        lock_waiters: LockWaiters,
        clock: Clock,
    ) -> None:
        self._leases = leases
        self._ending = ending
        self._publication = publication
        self._lock_waiters = lock_waiters
        self._clock = clock

    async def after(
        self, claimed: Claimed, lease: Lease, outcome: Outcome, head: Event, limit_seconds: float
    ) -> None:
        """Submit the jobs that follow, give up the lease, publish what is due again, close the row.

        Args:
            lease: what the claim rests on now; a job that waits has exchanged it.
            head: the event that ended the attempt.
            limit_seconds: time limit of the attempt.
        """
        ended = head.after.state.is_terminal
        # If the jobs that follow cannot be submitted, the open row stays: by it the rescuer finds
        # the job.
        settled = ended and await self._quietly(
            self._ending.submit_followers(head, claimed.request)
        )
        # The message comes after the release: published sooner, it would find the lock taken and
        # be deferred.
        await self._quietly(self._leases.give_up(lease, claimed.request))
        if settled:
            self._ending.close(head)
        elif stays_waiting(outcome, head) and not head.after.sent:
            at = send_again_at(
                outcome,
                head,
                request=claimed.request,
                defaults=claimed.defaults,
                limit_seconds=limit_seconds,
                now=self._clock.now(),
            )
            await self._quietly(self._publish_again(claimed, head, at))
        elif not ended and head.after.state is not State.WAITING:
            await self._quietly(self._publish_again(claimed, head, head.after.due_at))
        await self._publish_next_waiter(lease, claimed.request)

    async def release(self, slot_leases: Sequence[Lease], request: JobRequest) -> None:
        """Give lock slots up, before anything that lets the job start again."""
        for lease in slot_leases:
            await self._quietly(self._leases.give_up(lease, request))

    async def leave(self, lease: Lease, request: JobRequest) -> None:
        """Give a lease up, and let the next job of its lock key start."""
        await self._quietly(self._leases.give_up(lease, request))
        await self._publish_next_waiter(lease, request)

    async def _publish_next_waiter(self, lease: Lease, request: JobRequest) -> None:
        key = request.lock_key
        if key is not None and lease.lock in key_locks(key, request.lock_slots):
            published = self._lock_waiters.publish_next(
                key, slots=request.lock_slots, ended=request.job_id
            )
            await self._quietly(published)

    async def _publish_again(self, claimed: Claimed, head: Event, due_at: datetime | None) -> None:
        message = JobMessage(
            request=claimed.request,
            defaults=claimed.defaults,
            sequence=head.sequence,
            published_at=self._clock.now(),
            due_at=due_at,
            incarnation=head.after.incarnation,
        )
        await self._publication.try_to_send(message, head)

    async def _quietly(self, step: Awaitable[object]) -> bool:
        """Return whether the step succeeded. Lease expiry or the rescuer makes up for a failure."""
        try:
            await step
        except BackendError as error:
            _log.warning(FOLLOW_UP_FAILED, error=str(error))
            return False
        except Exception:  # noqa: BLE001 - an error of ours must not keep the steps after it
            _log.exception(FOLLOW_UP_FAILED)
            return False
        return True
