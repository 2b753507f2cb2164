"""Not now: the message goes through a delay queue, and is acknowledged once that is confirmed.

It is dropped where another message of its job is in a delay queue already.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.encoded_value import label
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock, JobIndex, JobQueue
from jobfleet_contracts.state import CLAIMABLE, State, Status
from jobfleet_protocol.actions.publication import LONGEST_DELAY
from jobfleet_protocol.claiming.decision import ALONE
from jobfleet_protocol.claiming.lock_slots import LIMIT, LOCK, LockSlotDemand
from jobfleet_protocol.claiming.rate_limiter import RATE
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.run.under_way import UnderWay

JOB_DEFERRED = "job.deferred"
COPY_DROPPED = "message.copy_dropped"
JOB_FOR_NEWER = "job.left_to_newer_worker"
LONGEST_DEFERRAL = 60.0
LONGEST_WITHOUT_HANDLER = 5.0
SHORTEST_WITHOUT_LOCK_SLOT, LONGEST_WITHOUT_LOCK_SLOT = 1.0, 5.0
MOST_ASKS_A_SECOND = 50
NO_HANDLER = "noHandler"
"""Reason of a deferral: the worker that took the job lacks its type."""
NO_CODEC = "noCodec"
"""Reason of a deferral: the worker that took the job has no codec, or not its key."""
NO_PROCESS = "noProcess"
"""Reason of a deferral: all processes of the worker that took the job were busy."""
_MOST_DOUBLINGS = 20
AFTER_ERROR_SECONDS = 60.0
PAUSED_SECONDS = 5.0
"""After it every worker knows of the pause, and the message stays in its queue."""

_log = structlog.get_logger()


class Deferral:
    """Puts messages off; a rejected one would count against a delivery limit."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        index: JobIndex,
        writer: TrailWriter,
        clock: Clock,
        first_seconds: float,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._queue = queue
        self._index = index
        self._writer = writer
        self._clock = clock
        self._first_seconds = first_seconds
        self._metrics = metrics
        self._under_way = UnderWay()
        self._without_lock_slot: list[float] = []
        """Boot-time seconds at which jobs come back that found no lock slot; a heap."""

    async def until_free(self, message: JobMessage, head: Event | None) -> None:
        """Put off a job whose lock is taken; the delay doubles up to a minute.

        ``Deferred`` is written the first time only, due at once: the lock is the only obstacle.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        if message.request.lock_key is not None and head is not None:
            head = await self._note(head, "lock", f"waiting for lock {message.request.lock_key}")
        delay = self._delay(message)
        _log.info(JOB_DEFERRED, job_id=message.request.job_id, seconds=delay)
        # The due time stays in the message. A worker whose clock was fast may have sent the message
        # too early, and the next worker claims a first message without reading when the job is due.
        await self._send_later(message, head, timedelta(seconds=delay), due_at=message.due_at)
        self._metrics.job_deferred()

    async def until_due(self, message: JobMessage, head: Event, due_at: datetime | None) -> None:
        """Pass a message on until its time; beyond an hour the rescuer publishes it anew.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        delay = timedelta(0) if due_at is None else due_at - self._clock.now()
        if delay <= LONGEST_DELAY:
            later = replace(message.passed_on(head), due_at=due_at)
            await self._send(later, max(delay, timedelta(0)))
            self._mark(head)

    async def until_reserved_start(
        self, message: JobMessage, head: Event | None, start: datetime
    ) -> None:
        """Pass a message on until the start that a rate has reserved for its job.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        delay = max(start - self._clock.now(), timedelta(0))
        await self._put_off(message, head, delay, due_at=start)

    async def for_seconds(self, message: JobMessage, head: Event | None, seconds: float) -> None:
        """Put a message off; what keeps its job from starting stands in the job's newest event.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        await self._put_off(message, head, timedelta(seconds=seconds), due_at=None)

    async def _put_off(
        self, message: JobMessage, head: Event | None, delay: timedelta, *, due_at: datetime | None
    ) -> None:
        _log.debug(JOB_DEFERRED, job_id=message.request.job_id, seconds=delay.total_seconds())
        await self._send_later(message, head, delay, due_at=due_at)
        if head is not None:
            self._metrics.job_deferred()

    async def until_newer(self, message: JobMessage, head: Event | None, reason: str) -> None:
        """Put off a job that holds what this worker does not know.

        To run it all the same could do what the submitter did not ask for. The worker appends
        ``Deferred`` once. It writes nothing while another worker runs the job, or after an event of
        an unknown kind. The delay doubles up to a minute.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        text = f"put off for a newer worker: {reason}"
        _log.warning(JOB_FOR_NEWER, job_id=message.request.job_id, reason=text)
        if head is not None:
            head = await self._note(head, "handler", text)
        delay = timedelta(seconds=self._delay(message))
        # Without proof: the worker that takes the message reads event 1.
        await self._send_later(message.without_proof(), head, delay, due_at=None)
        self._metrics.job_deferred()

    async def until_handled(
        self, message: JobMessage, head: Event | None, *, key: str | None = None
    ) -> None:
        """Put off a job whose type or key this worker lacks; the delay doubles from 1 s to 5 s.

        The first worker to lack it writes ``Deferred``, due at once, with reason ``noHandler``, or
        ``noCodec``.

        Args:
            key: id of the encryption key that it lacks; ``None``: it lacks the type.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        job_type = message.request.type if head is None else head.facts.job_type
        reason = NO_HANDLER if key is None else NO_CODEC
        if head is not None and head.data.get("reason") != reason:
            why = f"the worker that took it has no handler for {job_type!r}"
            if key is not None:
                why = f"the worker that took it cannot decode its payload: {label(key)}"
            head = await self._append(head, why, {"reason": reason})
        doublings = min(message.deferrals, _MOST_DOUBLINGS)
        delay = min(1 << doublings, LONGEST_WITHOUT_HANDLER)
        _log.info(JOB_DEFERRED, job_id=message.request.job_id, seconds=delay, type=job_type)
        await self._send_later(message, head, timedelta(seconds=delay), due_at=None)
        self._metrics.job_deferred()

    async def until_process_free(
        self, message: JobMessage, head: Event | None, seconds: float
    ) -> None:
        """Put off a job that needs a process while all of this worker's are busy.

        ``Deferred`` with reason ``noProcess``, due at once, is written the first time only, when
        ``head`` is given.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        if head is not None and head.data.get("reason") != NO_PROCESS:
            why = "all processes of the worker that took it were busy"
            head = await self._append(head, why, {"reason": NO_PROCESS})
        _log.debug(JOB_DEFERRED, job_id=message.request.job_id, seconds=seconds, reason=NO_PROCESS)
        await self._send_later(message, head, timedelta(seconds=seconds), due_at=None)
        self._metrics.job_deferred()

    async def while_paused(self, message: JobMessage, head: Event, pause: Pause) -> None:
        """Put off a job whose queue or type is paused.

        In a paused queue the message waits itself: it comes back to the queue, which no worker
        consumes. If a type is paused, the message would come again and again. So ``Deferred`` is
        written once for each pause, and the rescuer publishes the job after the resume. A message
        that was
        published after this ``Deferred`` is passed on: its sender knows of a resume that this
        worker has not read yet.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        _log.info(JOB_DEFERRED, job_id=head.job_id, reason=pause.text)
        data = {
            "reason": "paused",
            "subject": pause.subject.value,
            "name": pause.name,
            "entry": pause.sequence,
        }
        of_type = pause.subject is ControlSubject.TYPE and head.after.state in CLAIMABLE
        is_newer = message.sequence is not None and message.sequence >= head.sequence
        is_noted = head.status == Status.DEFERRED and head.data == data
        if of_type and not is_noted:
            await self._append(head, pause.text, data)
        elif head.after.state is not State.RUNNING and (is_newer or not of_type):
            later = replace(message.passed_on(head), due_at=None)
            await self._send(later, timedelta(seconds=PAUSED_SECONDS))
            self._mark(head)
        self._metrics.job_deferred()

    async def until_alone(
        self, message: JobMessage, head: Event, *, at_most: float = LONGEST_DEFERRAL
    ) -> None:
        """Put off a job that must run alone, beside others that go on. The delay doubles.

        Args:
            at_most: seconds until this worker may keep its slots free again, or a minute.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        delay = min(self._delay(message), at_most)
        _log.info(JOB_DEFERRED, job_id=message.request.job_id, seconds=delay, reason=ALONE)
        await self._send_later(message, head, timedelta(seconds=delay), due_at=message.due_at)
        self._metrics.job_deferred()

    async def drop(self, head: Event) -> None:
        """Leave a job to the worker that runs it: its open row says so, and the message goes.

        Raises:
            BackendUnavailable: the row is not written; keep the delivery.
        """
        await self._index.record([head])

    async def after_error(self, message: JobMessage) -> None:
        """Let a message come again that met an error of our own, here or at another worker.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        await self._send(message, timedelta(seconds=AFTER_ERROR_SECONDS))

    async def _send_later(
        self, message: JobMessage, head: Event | None, delay: timedelta, *, due_at: datetime | None
    ) -> None:
        """Send the message through a delay queue, with the deferral counted.

        Args:
            head: the job's newest event, if it is known; its open row then names the message.
            due_at: as the message says it.
        """
        later = replace(message, deferrals=message.deferrals + 1, due_at=due_at)
        if head is not None:
            later = later.passed_on(head)
        await self._send(later, delay)
        if head is not None:
            self._mark(head)

    async def _send(self, message: JobMessage, delay: timedelta) -> None:
        """Let the message come again after the delay, or drop it for one that comes no later."""
        now = self._clock.boottime()
        if self._under_way.covers(message, delay, now=now):
            _log.debug(COPY_DROPPED, job_id=message.request.job_id)
            return
        await self._queue.publish_later(message, delay)
        self._under_way.add(message, delay, since=now)

    def _delay(self, message: JobMessage) -> float:
        # A power without bound overflows after a thousand deferrals, or by a foreign header.
        doublings = min(message.deferrals, _MOST_DOUBLINGS)
        return min(self._first_seconds * (1 << doublings), LONGEST_DEFERRAL)

    def _mark(self, head: Event) -> None:
        """Without this the rescuer would publish a second message, which never goes away."""
        self._index.published(head.job_id, head.after.incarnation, head.sequence)

    async def until_lock_slot_is_free(
        self, message: JobMessage, head: Event | None, demand: LockSlotDemand
    ) -> None:
        """Put off a job that finds no lock slot of a limit, for 1 to 5 s, or up to 60 s of many.

        ``Deferred`` names the limit, unless the job waits for a limit or a rate already. Jobs that
        this worker has put off so ask 50 times a second in all. So with more than 250 of them
        each waits longer than 5 s, but 60 s at most.

        Raises:
            BackendUnavailable: the delayed copy is not confirmed; keep the delivery.
        """
        if head is not None and not _waits_for_a_limit(head):
            data = {"reason": demand.reason, demand.reason: demand.name}
            head = await self._append(head, demand.text, data)
        now = self._clock.boottime()
        while self._without_lock_slot and self._without_lock_slot[0] <= now:
            heapq.heappop(self._without_lock_slot)
        longest = max(LONGEST_WITHOUT_LOCK_SLOT, len(self._without_lock_slot) / MOST_ASKS_A_SECOND)
        seconds = random.uniform(SHORTEST_WITHOUT_LOCK_SLOT, min(longest, LONGEST_DEFERRAL))
        heapq.heappush(self._without_lock_slot, now + seconds)
        await self._put_off(message, head, timedelta(seconds=seconds), due_at=None)

    async def note(self, head: Event, why: str, data: dict[str, Any]) -> Event:
        """Append ``Deferred``, due at once, unless the job says the same already."""
        if head.status == Status.DEFERRED and head.data == data:
            return head
        return await self._append(head, why, data)

    async def _note(self, head: Event, reason: str, why: str) -> Event:
        """Append ``Deferred`` unless the job is deferred already, for whatever reason."""
        if head.after.state is State.DEFERRED:
            return head
        return await self._append(head, why, {"reason": reason})

    async def _append(self, head: Event, why: str, data: dict[str, Any]) -> Event:
        if head.after.state not in CLAIMABLE or not head.is_readable:
            return head
        now = self._clock.now()
        change = Change(kind=Status.DEFERRED, due_at=now, message=why, data=data)
        event = draft(head, head.facts, change, occurred_at=now)
        return event if await self._writer.append([event]) is None else head


def _waits_for_a_limit(head: Event) -> bool:
    """Whether the job's newest event is such a ``Deferred`` already. What it waits for may change
    with each try."""
    return head.status == Status.DEFERRED and head.data.get("reason") in (LIMIT, LOCK, RATE)
