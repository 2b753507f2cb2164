"""Erase the values of an ended job: ``Erased`` first, then, after a waiting time, the removal.

1. Insert an open row of the job's next incarnation, which a redrive would begin. It is the note of
   what is to be done: the rescuer finds it after any crash.
2. Append ``Erased``. If a redrive commits first, it is refused. If the redrive comes later, it is
   refused by ``Erased``.
3. Wait for an hour: by then no process that looked before still writes a copy of the values.
4. Remove log lines, large values, index rows, and the values of the trail's rows.
5. Remove the open row.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import structlog

from jobfleet_contracts.errors import (
    ActionRefused,
    BackendError,
    BackendForbidden,
    DataMissing,
    InvalidRequest,
    UnknownJob,
)
from jobfleet_contracts.event import NAMELESS, Event
from jobfleet_contracts.index import IndexedEvent, OpenRow
from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.ports import AuditTrail, Clock, JobIndex, PayloadStore
from jobfleet_contracts.reason import behind_name, check_reason
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.trail_retention import TrailRetention
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.cancellation import Canceller
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.submission import open_row, request_of
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.trail.erased_values import holds_no_request
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import is_tombstone
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

ERASURE_SECONDS = 3600.0
"""How long the values stand after ``Erased``, as under a seal of the retention."""

NOT_REACHED = (
    "exports, backups and copies of the trail",
    "free pages and write-ahead logs of a database, until it uses them again",
    "what handlers, callback receivers and log files outside of jobfleet have",
    "messages at the broker until a worker takes them, and dead letters of foreign publishers",
    "id, type, queue, lock key and limits of the job: the hash chain covers them",
    "the name of a job in the row of a worker that ran it lately, for seven days at most",
    "on Azure: samples of error groups and the names of slow runs, until their hour is trimmed",
)
"""What an erasure cannot remove; the answer to each erasure lists it."""

ERASURE_BEGUN = "erasure.begun"
VALUES_ERASED = "values.erased"
_PAGE = 1000

_log = structlog.get_logger()


class Eraser:
    """Erases the values of ended jobs, and of the jobs that were made from them.

    Args:
        store: removes values; ``None`` if the backend cannot.
        seconds: how long the values stand after ``Erased``.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        index: JobIndex,
        payloads: PayloadStore,
        logs: JobLogs,
        store: TrailRetention | None,
        writer: TrailWriter,
        canceller: Canceller,
        ending: Ending,
        clock: Clock,
        seal: FleetSeal,
        seconds: float = ERASURE_SECONDS,
    ) -> None:
        self._trail = trail
        self._index = index
        self._payloads = payloads
        self._logs = logs
        self._store = store
        self._writer = writer
        self._canceller = canceller
        self._ending = ending
        self._clock = clock
        self._seal = seal
        self._wait = timedelta(seconds=seconds)

    async def erase(self, job_id: str, *, by: str | None, reason: str) -> State:
        """Append ``Erased`` to an ended job, and to the jobs made from it.

        The rescuer removes the values after an hour. Asked again, it adds nothing.

        Args:
            reason: written into the trail, where it stays; not empty, up to 1,000 characters.

        Raises:
            InvalidRequest: the reason is missing or too long.
            UnknownJob: no trail.
            FleetSealed: the fleet is sealed.
            ActionRefused: the job has not ended, its history was removed already, or this process's
                role may not change rows; names the role.
            BackendUnavailable: the trail did not answer in 8 s. ``Erased`` may be written, now or
                later; ask again, it counts once.
        """
        if not reason.strip():
            raise InvalidRequest("reason: say why the values are erased", field="reason")
        check_reason(reason)
        if self._store is None:
            raise ActionRefused("this backend cannot remove values")
        try:
            await self._store.check_rights()
        except BackendForbidden as error:
            raise ActionRefused(f"this process may not erase: {error}") from error
        return await answered(
            self._erase(job_id, by, reason),
            name=f"erase-{job_id}",
            unclear="Erased may be written, now or later: ask again, it counts once",
        )

    async def _erase(self, job_id: str, by: str | None, reason: str) -> State:
        await self._seal.check()
        head = await self._mark(job_id, by, reason)
        await self._seal.check()
        with contextlib.suppress(BackendError):  # the rescuer does it before it removes the values
            await self._ending.mark_in_group(head)
        await self._reach_made_jobs(head)
        return head.after.state

    async def _mark(self, job_id: str, by: str | None, reason: str) -> Event:
        """Append ``Erased`` unless it stands; returns it."""
        while True:
            head = await self._trail.newest(job_id)
            if head is None:
                raise UnknownJob(f"no job {job_id}")
            if is_tombstone(head):
                raise ActionRefused(f"job {job_id}: {head.message}; no value is left")
            if head.status == Status.ERASED:
                return head
            if not head.after.state.is_terminal:
                raise ActionRefused(
                    f"job {job_id} is {head.after.state.value}; only ended jobs are erased: "
                    "cancel it first"
                )
            change = Change(
                kind=Status.ERASED,
                message=f"values erased by {by or NAMELESS}{behind_name(reason)}",
                data={"reason": reason} | ({"by": by} if by else {}),
            )
            facts = replace(head.facts, job_name=head.facts.job_type)
            event = draft(head, facts, change, occurred_at=self._clock.now())
            # The row first: without it no worker would complete what a crash leaves undone.
            await self._index.open(self.note_of(event))
            if await self._writer.append([event]) is None:
                _log.info(ERASURE_BEGUN, job_id=job_id, by=by)
                return event

    def note_of(self, erased: Event) -> OpenRow:
        """Return the open row that stands until the values are removed.

        It is of the incarnation that never begins, so no end of the job removes it. Its due time
        is when the values may go.
        """
        facts = replace(erased.facts, lock_key=None, lock_slots=1)
        state = replace(
            erased.after,
            state=State.QUEUED,
            incarnation=erased.after.incarnation + 1,
            due_at=erased.occurred_at + self._wait,
        )
        return open_row(facts, state, self._clock.now())

    async def complete(self, erased: Event) -> bool:
        """Remove the values, all of them again if an earlier try was cut short.

        Call it when the waiting time is over.

        Returns:
            Whether the values are gone. ``False``: a job that was made from this one still runs.

        Raises:
            BackendError: the rest is left to the next try.
        """
        if self._store is None or not await self._reach_made_jobs(erased):
            return False
        job_id, last = erased.job_id, erased.sequence - 1
        # Before event 1 loses its request: nothing else names the group that waits for this job.
        await self._ending.mark_in_group(erased)
        await self._logs.remove(job_id)
        await self._payloads.delete_job(job_id)
        await self._unlist(self._store, job_id, erased.sequence)
        await self._store.erase(job_id, last=last)
        self._index.record([erased])  # anew: its first copy may lie on one with the job's name
        await self._index.close(job_id, erased.after.incarnation + 1)
        _log.info(VALUES_ERASED, job_id=job_id)
        return True

    async def _unlist(self, store: TrailRetention, job_id: str, last: int) -> None:
        """Take all events out of the index, while their rows tell where their copies are."""
        after = 0
        while after < last:
            before = min(after + _PAGE, last) + 1
            page = await self._trail.history(job_id, after=after, before=before)
            await store.unlist([IndexedEvent.of(event) for event in page if event.is_readable])
            after += _PAGE

    async def _reach_made_jobs(self, erased: Event) -> bool:
        """Erase the jobs that were made from this one; cancel those that have not ended.

        Returns:
            Whether ``Erased`` stands in all of them.
        """
        by, reason = f"erasure of job {erased.job_id}", f"made from job {erased.job_id}"
        reached = True
        for job_id in made_from(erased, await self._opening(erased)):
            head = await self._trail.newest(job_id)
            if head is None or is_tombstone(head):
                continue
            if head.after.state.is_terminal:
                made = await self._mark(job_id, by, reason)
                reached = await self._reach_made_jobs(made) and reached
                continue
            reached = False
            with contextlib.suppress(ActionRefused):  # it has ended meanwhile
                await self._canceller.cancel(job_id, by=by, reason=reason)
        return reached

    async def _opening(self, erased: Event) -> Event:
        opening = await self._trail.read(erased.job_id, 1)
        if opening is None or holds_no_request(opening):
            return erased.without_values()  # removed by an earlier try, which reached the jobs
        with contextlib.suppress(DataMissing):
            return await resolve(opening, self._payloads)
        return erased.without_values()


def made_from(head: Event, opening: Event) -> list[str]:
    """Return the ids that jobs made from this one have, if they exist: callbacks, successors.

    Args:
        opening: event 1 of the job, with its data.
    """
    successors = range(len(request_of(opening).then))
    incarnations = range(1, head.after.incarnation + 1)
    callbacks = [callback_job_id(head.job_id, incarnation) for incarnation in incarnations]
    return callbacks + [
        successor_id(head.job_id, number, incarnation)
        for incarnation in incarnations
        for number in successors
    ]
