"""Finds jobs that no worker holds and publishes them again; the claim decides.

Each sweep asks these questions about an open row, in this order:

1. ``_pace_of``: may the job need attention, by its row, the leased locks and the pauses? Then the
   row is a candidate, with a pace at which it is looked at. This sends no request.
2. ``_is_time``: has the candidate waited for its pace?
3. ``_examine``: what does the trail say? The rescuer repairs a row whose incarnation never began
   or has ended, and publishes nothing.
4. ``_is_unattended``: by the trail, and by the lease as it is now, does no worker hold the job?
5. ``_is_passed_on``: is a message of the job on its way from delay to delay?
6. Is the job paused? Then it is published only to have its end written.
7. ``_publish``: send the message.

A sweep reads every open row that is not queued, and two pages of the queued ones; the next sweep
goes on behind them. Azure Tables cannot select by state: there each sweep reads every open row.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from jobfleet_contracts.errors import BackendError, BackendUnavailable, DataMissing, WrittenByNewer
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.job import lane_of
from jobfleet_contracts.lease import (
    HANDED_LOCKS,
    WORKER_LOCKS,
    is_worker_lock,
    job_lock,
    key_locks,
)
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import (
    AuditTrail,
    Clock,
    JobIndex,
    JobIndexReader,
    JobQueue,
    LeaseStore,
    LockRecords,
    PayloadStore,
)
from jobfleet_contracts.state import CLAIMABLE, State
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.erasure import Eraser
from jobfleet_protocol.actions.final_result import ending_of
from jobfleet_protocol.actions.publication import (
    LONGEST_DELAY,
    PUBLISH_LEFT_TO_RESCUER,
    Publication,
)
from jobfleet_protocol.actions.submission import ORPHANED_ROW_AGE, message_of
from jobfleet_protocol.claiming.decision import ALONE, ends_without_a_start
from jobfleet_protocol.claiming.lock_slots import LIMIT
from jobfleet_protocol.claiming.rate_limiter import RATE
from jobfleet_protocol.control.pause_state import FleetPauses
from jobfleet_protocol.trail.erased_values import holds_no_request
from jobfleet_protocol.trail.tombstone import is_tombstone
from jobfleet_worker.run.deferral import NO_CODEC, NO_HANDLER, NO_PROCESS
from jobfleet_worker.upkeep.open_erasures import OpenErasures, is_note_of_erasure
from jobfleet_worker.upkeep.republish_pace import Pace, RepublishPace

JOB_REPUBLISHED = "job.republished"
ROW_UNREADABLE = "row.unreadable"
LOCKS_REMOVED = "worker_locks.removed"
PAGE_ROWS = 1000
QUEUED_PAGES_A_SWEEP = 2
PUBLISHED_A_SECOND = 100
"""Jobs of lost workers: one dead worker can free a thousand at once."""
MOST_UNCONFIRMED = 3
"""Publications in a row; then this worker leads no more, and each would wait for its time-out."""
LOCK_REMOVAL_SECONDS = 3600.0
OLD_LOCK_AGE = timedelta(days=1)
"""Workers' locks that are not leased; a missing lock counts as free, so their age is no promise."""
DEADLINE_AHEAD = timedelta(seconds=8)
"""A waiting job's time-out is published so long before, to arrive at its second."""
ENDING_TIME = timedelta(seconds=3)
"""In which who wrote an end copies it and removes the row, in one transaction of the index. Sooner,
it would be counted by both."""
_NOT_QUEUED = frozenset(
    {State.RUNNING, State.WAITING, State.DEFERRED, State.RETRYING, State.SCHEDULED}
)
_QUEUED = frozenset({State.QUEUED})
_PASSED_ON = frozenset({ALONE, LIMIT, NO_CODEC, NO_HANDLER, NO_PROCESS, RATE})
"""Reasons of deferrals after which a job's message goes from delay to delay."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Fleet:
    """What one sweep knows of the fleet at its beginning.

    Attributes:
        free: locks of dead workers, as the sweep finds them.
    """

    leased: frozenset[str]
    busy_lanes: frozenset[tuple[str, str]]
    now: datetime
    pauses: FleetPauses
    granted: Counter[tuple[str, int]] = field(default_factory=Counter)
    free: set[str] = field(default_factory=set)

    def waits_in_lane(self, row: OpenRow) -> bool:
        """Whether the row's message may lie in its lane still: a copy would lie behind it."""
        lane = (row.facts.queue, lane_of(row.facts.priority))
        return row.published >= max(row.sequence, 1) and lane in self.busy_lanes

    def pace_of_due(self, row: OpenRow) -> Pace:
        """Return how often a job that may start is published again.

        A backlog can take hours: at the pace of lost messages it would grow by its own copies.
        """
        return Pace.QUIET if self.waits_in_lane(row) else Pace.OVERDUE

    def grants_slot(self, row: OpenRow) -> bool:
        """Whether a slot of the row's lock key is free; each one is granted once a sweep."""
        facts = row.facts
        if facts.lock_key is None or self.waits_in_lane(row):
            return False
        key = facts.lock_key, facts.lock_slots
        held = self.leased.intersection(key_locks(*key))
        if len(held) + self.granted[key] >= facts.lock_slots:
            return False
        self.granted[key] += 1
        return True


class Rescuer:
    """Sweeps the open rows; :class:`Election` decides which worker does it."""

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        reader: JobIndexReader,
        leases: LeaseStore,
        locks: LockRecords,
        queue: JobQueue,
        payloads: PayloadStore,
        ending: Ending,
        eraser: Eraser,
        publication: Publication,
        clock: Clock,
        pauses: Callable[[], Awaitable[FleetPauses]],
        deliver_here: Callable[[JobMessage], None],
    ) -> None:
        """Take the parts.

        Args:
            pauses: the pauses in force; waits until they are known.
            deliver_here: gives this worker a message of a paused queue, which no worker consumes.
        """
        self._trail = trail
        self._index = index
        self._reader = reader
        self._leases = leases
        self._locks = locks
        self._queue = queue
        self._payloads = payloads
        self._ending = ending
        self._erasures = OpenErasures(eraser=eraser, clock=clock)
        self._publication = publication
        self._pauses = pauses
        self._deliver_here = deliver_here
        self._clock = clock
        self._pace = RepublishPace()
        self._queued_cursor: str | None = None
        self._next_removal = 0.0
        self._unconfirmed = 0

    async def sweep(self) -> int:
        """Look at every open row that is not queued, and at the next pages of those that are.

        Returns:
            How many jobs were published again.

        Raises:
            BackendError: the sweep could not be finished, or the broker confirmed nothing of it:
                another worker may reach the broker.
        """
        fleet = await self._look_around()
        self._unconfirmed = published = 0
        async for row in self._rows():
            pace = self._pace_of(row, fleet)
            if pace is not None and self._is_time(row, pace, fleet):
                published += await self._examine_at_a_pace(row, pace, fleet, published)
        if self._unconfirmed and not published:
            raise BackendUnavailable("the broker confirms nothing")
        self._pace.forget_before(self._clock.boottime())
        await self._remove_old_locks(fleet.pauses)
        return published

    async def _look_around(self) -> _Fleet:
        leased = await self._locks.leased()
        try:
            depths = await self._queue.depths()
        except BackendError:
            depths = ()
        busy = frozenset((depth.queue, depth.lane) for depth in depths if depth.ready)
        return _Fleet(leased, busy, self._clock.now(), await self._pauses())

    async def _rows(self) -> AsyncIterator[OpenRow]:
        cursor: str | None = None
        while True:
            page = await self._reader.open_rows(states=_NOT_QUEUED, cursor=cursor, limit=PAGE_ROWS)
            for row in page.items:
                yield row
            cursor = page.next
            if cursor is None:
                break
        for _ in range(QUEUED_PAGES_A_SWEEP):
            page = await self._reader.open_rows(
                states=_QUEUED, cursor=self._queued_cursor, limit=PAGE_ROWS
            )
            for row in page.items:
                yield row
            self._queued_cursor = page.next
            if page.next is None:
                break

    def _pace_of(self, row: OpenRow, fleet: _Fleet) -> Pace | None:
        """Return how often to look at the row, by what it says; ``None``: it needs nothing."""
        free = row.lock is None or row.lock not in fleet.leased
        past_due = row.due_at is not None and row.due_at <= fleet.now
        facts = row.facts
        if facts.job_type == GROUP_TYPE:
            return Pace.GROUP
        if fleet.pauses.holding(queue=facts.queue, job_type=facts.job_type) is not None:
            return self._pace_of_paused(row, free=free, past_due=past_due)
        if facts.queue in fleet.pauses.queues and row.state in CLAIMABLE:
            # A callback job: its message lies in a queue that no worker consumes.
            return Pace.AT_ONCE if past_due or row.due_at is None else None
        match row.state:
            case State.RUNNING:
                if free:
                    return Pace.AT_ONCE
                # A lock of many jobs is leased for the others too, and says little of this one.
                return None if row.lock == job_lock(row.facts.job_id) else Pace.OVERDUE
            case State.WAITING:
                return self._pace_of_waiting(row, fleet, free=free)
            case State.QUEUED:
                return fleet.pace_of_due(row)
            case _ if row.published < max(row.sequence, 1):
                soon = row.due_at is None or row.due_at - fleet.now <= LONGEST_DELAY
                return Pace.AT_ONCE if soon else None
            case State.DEFERRED if past_due and fleet.grants_slot(row):
                # The holder of the slot may have died before it published the next job.
                return Pace.AT_ONCE
            case _:
                return fleet.pace_of_due(row) if past_due or row.due_at is None else None

    def _pace_of_paused(self, row: OpenRow, *, free: bool, past_due: bool) -> Pace:
        """Return the pace of a paused job: only an end may be written, or concluded."""
        if row.state is State.RUNNING and free:
            return Pace.AT_ONCE
        return Pace.AT_ONCE if row.state is State.WAITING and past_due else Pace.PAUSED

    def _pace_of_waiting(self, row: OpenRow, fleet: _Fleet, *, free: bool) -> Pace | None:
        if row.due_at is not None and row.due_at <= fleet.now + DEADLINE_AHEAD:
            return Pace.AT_ONCE
        if row.sent or not free:
            return None
        # A copy that was put off until the next try is under way already.
        return Pace.AT_ONCE if row.published < row.sequence else Pace.PUT_OFF

    def _is_time(self, row: OpenRow, pace: Pace, fleet: _Fleet) -> bool:
        since = row.updated_at
        if pace in (Pace.OVERDUE, Pace.QUIET) and row.due_at is not None:
            since = max(since, row.due_at)
        return self._pace.allows(
            _key(row),
            pace,
            unchanged_for=(fleet.now - since).total_seconds(),
            now=self._clock.boottime(),
        )

    async def _examine_at_a_pace(
        self, row: OpenRow, pace: Pace, fleet: _Fleet, published: int
    ) -> bool:
        """Examine a row, and wait for a second after each hundred jobs that were published.

        One dead worker can free a thousand jobs. Published at once, they would delay all other
        requests to broker and storage.
        """
        is_published = await self._examine_safely(row, pace, fleet)
        if is_published and (published + 1) % PUBLISHED_A_SECOND == 0:
            await asyncio.sleep(1)
        return is_published

    async def _examine_safely(self, row: OpenRow, pace: Pace, fleet: _Fleet) -> bool:
        """Examine a row; log a job that cannot be read, and let the sweep go on with the next.

        Raises:
            BackendError: storage or broker did not answer; this ends the sweep.
        """
        try:
            return await self._examine(row, pace, fleet)
        except (DataMissing, WrittenByNewer) as error:
            _log.error(ROW_UNREADABLE, job_id=row.facts.job_id, error=str(error))
            return False
        except BackendError:
            self._pace.look_again(_key(row), pace, now=self._clock.boottime())
            raise
        except Exception:  # noqa: BLE001 - whatever its trail holds
            _log.exception(ROW_UNREADABLE, job_id=row.facts.job_id)
            return False

    async def _examine(self, row: OpenRow, pace: Pace, fleet: _Fleet) -> bool:
        """Ask the trail, and publish the job if no worker holds it."""
        head = await self._trail.newest(row.facts.job_id)
        if head is not None and is_tombstone(head):  # whatever incarnation the row stands for
            await self._index.close(row.facts.job_id, row.incarnation)
            return False
        if head is None or head.after.incarnation < row.incarnation:
            await self._look_at_unbegun(row, head, pace)
            return False
        if head.after.incarnation > row.incarnation:
            await self._conclude(row, head)
            return False
        if head.after.state.is_terminal:
            if abs(self._clock.now() - head.occurred_at) > ENDING_TIME:
                await self._conclude(row, head)
            else:
                self._pace.undo(_key(row), pace, now=self._clock.boottime())
            return False
        if head.sequence > row.sequence:
            self._index.record([head])
        if not await self._is_unattended(head, fleet) or self._is_passed_on(row, head, pace):
            return False
        pauses = fleet.pauses
        is_held = pauses.holding_job(head) is not None
        if is_held and not ends_without_a_start(head, self._clock.now()):
            if pace is not Pace.PAUSED:
                self._pace.undo(_key(row), pace, now=self._clock.boottime())
            return False
        sent = await self._publish(head, pace, to_itself=head.facts.queue in pauses.queues)
        if not sent:
            self._pace.undo(_key(row), pace, now=self._clock.boottime())
        return sent

    async def _look_at_unbegun(self, row: OpenRow, head: Event | None, pace: Pace) -> None:
        """See to a row whose incarnation has no event: an erasure's note, or one left behind."""
        if head is not None and is_note_of_erasure(row, head):
            if not await self._erasures.remove_if_due(row, head):
                self._pace.undo(_key(row), pace, now=self._clock.boottime())
        elif self._clock.now() - row.opened_at > ORPHANED_ROW_AGE:
            # Only as it was read: a submitter who slept may have written it again by now.
            await self._index.discard(row)

    async def _conclude(self, row: OpenRow, head: Event) -> None:
        """End an open row whose incarnation has ended, after the callback that it may owe.

        The end goes into the timeline again: its writer may have died before it did this, and the
        retention finds jobs by the timeline.
        """
        end = head
        if head.after.incarnation > row.incarnation:
            found = await ending_of(row.facts.job_id, row.incarnation, trail=self._trail)
            if found is None:
                return
            end = found
        self._index.record([end])
        await self._ending.conclude(end)

    async def _is_unattended(self, head: Event, fleet: _Fleet) -> bool:
        """Judge by the trail, and ask for the lease anew: the listing may be older than both."""
        after = head.after
        now = self._clock.now()
        match after.state:
            case State.RUNNING:
                return after.lock is None or await self._is_free(after.lock, fleet)
            case State.WAITING if head.facts.job_type == GROUP_TYPE:
                # Its members may have missed each other, or cannot tell it any more.
                await self._ending.end_group_if_due(head, seek_missed=True)
                return False
            case State.WAITING:
                if self._is_near_its_deadline(head):
                    return True
                held = after.lock is not None and await self._leases.is_leased(after.lock)
                return not after.sent and not held
            case _:
                return after.due_at is None or after.due_at - now <= LONGEST_DELAY

    def _is_near_its_deadline(self, head: Event) -> bool:
        due_at = head.after.due_at
        return due_at is not None and due_at <= self._clock.now() + DEADLINE_AHEAD

    async def _is_free(self, lock: str, fleet: _Fleet) -> bool:
        """Ask for the lease; a dead worker's own lock is asked for once for all its jobs.

        Such a lock is never leased again once its lease has ended.
        """
        if lock in fleet.free:
            return True
        is_free = not await self._leases.is_leased(lock)
        if is_free and is_worker_lock(lock):
            fleet.free.add(lock)
        return is_free

    def _is_passed_on(self, row: OpenRow, head: Event, pace: Pace) -> bool:
        """Whether the job's message goes from delay to delay: each copy would do so beside it.

        So a copy is sent at the pace of quiet rows, in case the broker has lost the message.
        """
        if head.data.get("reason") not in _PASSED_ON:
            return False
        is_lost = head.after.state is not State.DEFERRED or row.published < row.sequence
        if pace is not Pace.OVERDUE and (pace is not Pace.AT_ONCE or is_lost):
            return False
        unchanged = (self._clock.now() - head.occurred_at).total_seconds()
        now = self._clock.boottime()
        return not self._pace.allows(_key(row), Pace.QUIET, unchanged_for=unchanged, now=now)

    async def _publish(self, head: Event, pace: Pace, *, to_itself: bool) -> bool:
        opening = await self._trail.read(head.job_id, 1)
        if opening is None or holds_no_request(opening):
            return False
        message = await message_of(opening, head, self._payloads, self._clock.now())
        if head.after.state is State.WAITING and self._is_near_its_deadline(head):
            message = replace(message, due_at=head.after.due_at)
        if to_itself:
            self._deliver_here(message)
            return True
        sent = await self._confirmed(message, head)
        if sent:
            state = head.after.state.value
            _log.info(JOB_REPUBLISHED, job_id=head.job_id, state=state, pace=pace.name)
        return sent

    async def _confirmed(self, message: JobMessage, head: Event) -> bool:
        try:
            sent = await self._publication.send(message, head)
        except BackendUnavailable as error:
            _log.warning(PUBLISH_LEFT_TO_RESCUER, job_id=head.job_id, error=str(error))
            self._unconfirmed += 1
            if self._unconfirmed >= MOST_UNCONFIRMED:
                raise
            return False
        self._unconfirmed = 0
        return sent

    async def _remove_old_locks(self, pauses: FleetPauses) -> None:
        """Remove the locks of workers that died, and counts of messages that are gone.

        A clean stop deletes the worker's own lock, an acknowledgement the count of its message.
        Counts come from pauses only. So those of an earlier pause are removed in the next one.
        """
        if self._clock.boottime() < self._next_removal:
            return
        before = self._clock.now() - OLD_LOCK_AGE
        removed = await self._locks.remove_idle(WORKER_LOCKS, before=before)
        if pauses.queues or pauses.types:
            removed += await self._locks.remove_idle(HANDED_LOCKS, before=before)
        self._next_removal = self._clock.boottime() + LOCK_REMOVAL_SECONDS
        if removed:
            _log.info(LOCKS_REMOVED, locks=removed)


def _key(row: OpenRow) -> tuple[str, int, int]:
    return row.facts.job_id, row.incarnation, row.sequence
