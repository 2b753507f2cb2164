"""What the page of a job shows: the job's record, its lock's holder, workers and pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_contracts.state import CLAIMABLE, State, Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.services import Services
from jobfleet_dashboard.views.job.job_sentence import JobSituation
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_protocol.reading.job_record import JobRecord

SHOWN_EVENTS = 250
"""Events on one page of the earlier history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job's record, with what else decides now when it starts.

    Attributes:
        holder: the job that runs under the same lock key while this one waits for it.
        workers: the worker directory.
        pause: what keeps the job from starting, if queue or type is paused.
        held_by: members that keep a group open though all have ended.
        earlier: a page of the history that was asked for, oldest first; empty for the newest.
    """

    record: JobRecord
    now: datetime
    holder: JobRow | None = None
    workers: tuple[WorkerStatus, ...] = ()
    earlier: Sequence[Event] = ()
    pause: Pause | None = None
    held_by: int = 0

    @property
    def newest(self) -> Event:
        """The last event that can be read."""
        return self.record.newest

    @property
    def events(self) -> Sequence[Event]:
        """Those of the newest 1,000 that can be read, oldest first."""
        return [event for event in self.record.events if event.is_readable]

    @property
    def lifecycle(self) -> Sequence[Event]:
        """The lifecycle events that can be read, oldest first: they tell the job's whole life."""
        return [event for event in self.record.lifecycle if event.is_readable]

    def situation(self) -> JobSituation:
        """Return what the sentence says beyond the newest event."""
        held = self.newest.after.state in (State.RUNNING, State.WAITING)
        step, of = progress_of(self.events) if held else (0, 0)
        newest = self.newest
        holder = self.holder
        return JobSituation(
            now=self.now,
            since=since(self.lifecycle or [self.newest]),
            step=step,
            of=of,
            lease_seconds_left=self._lease_seconds_left(),
            holder_id=holder.facts.job_id if holder else None,
            holder_name=holder.facts.job_name if holder else "",
            reason=reason_of(newest, self.lifecycle),
            pause=self.pause,
            held_by=self.held_by,
            workers_alive=sum(
                newest.facts.queue in worker.queues and worker.is_alive(self.now)
                for worker in self.workers
            ),
        )

    def _lease_seconds_left(self) -> float | None:
        if self.newest.after.state is not State.RUNNING:
            return None
        after, job_id = self.newest.after, self.newest.job_id
        holder = (worker for worker in self.workers if worker.worker_id == after.worker_id)
        running = (job for worker in holder for job in worker.running)
        return next((job.lease_seconds_left for job in running if job.job_id == job_id), None)


def since(events: Sequence[Event]) -> datetime:
    """Return when the present state began; a new attempt begins it anew."""
    began = events[-1]
    for event in reversed(events):
        if event.after.state is not began.after.state or event.after.epoch != began.after.epoch:
            break
        began = event
    return began.occurred_at


def progress_of(events: Sequence[Event]) -> tuple[int, int]:
    """Return step and number of steps of the newest progress in the present attempt."""
    for event in reversed(events):
        step, of = event.data.get("step"), event.data.get("of")
        if event.kind is Status.STEP and isinstance(step, int) and isinstance(of, int):
            return step, of
        if event.kind is Status.STARTED:
            break
    return 0, 0


def reason_of(newest: Event, events: Sequence[Event]) -> str:
    """Return why the job stands where it stands, in one line, empty if nothing tells."""
    for event in reversed(events):
        if event.kind is Status.CANCELLED:
            return _asked_for(event, events).message.split("\n", 1)[0][:300]
        error = event.data.get("error")
        if isinstance(error, dict) and error.get("message"):
            return str(error["message"]).split("\n", 1)[0][:300]
        if event.kind in (Status.DEFERRED, Status.CANCELLED, Status.FAILED, Status.TIMED_OUT):
            return event.message.split("\n", 1)[0][:300]
        if event.after.state is not newest.after.state:
            break
    return ""


def _asked_for(cancelled: Event, events: Sequence[Event]) -> Event:
    """Return the request that a worker answered with this end: it says who asked, and why."""
    for event in reversed(events):
        if event.after.incarnation != cancelled.after.incarnation:
            break
        if event.kind is Status.CANCEL_REQUESTED:
            return event
    return cancelled


async def read_job_view(
    services: Services,
    job_id: str,
    *,
    known: JobRecord | None = None,
    before: int | None = None,
) -> JobView:
    """Return a job and what surrounds it now.

    Args:
        known: an earlier record; only what came after it is read.
        before: show the part of the history that ends before this sequence.

    Raises:
        UnknownJob: no trail.
        BackendUnavailable: the trail cannot be read.
    """
    backend = services.backend
    record = await services.job_reader.read(job_id, known=known)
    return JobView(
        record=record,
        now=services.clock.now(),
        workers=tuple(await backend.directory.workers()),
        holder=await _holder(backend.reader, record.newest),
        pause=await _pause(services, record.newest),
        held_by=await _held_by(services, record.newest),
        earlier=await _earlier(services, job_id, before),
    )


async def _earlier(services: Services, job_id: str, before: int | None) -> Sequence[Event]:
    if before is None:
        return ()
    page = await services.job_reader.events(job_id, cursor=f"b{before}", limit=SHOWN_EVENTS)
    return page.items


async def _pause(services: Services, newest: Event) -> Pause | None:
    if newest.after.state not in CLAIMABLE:
        return None
    return await services.pauses.of_job(newest)


async def _held_by(services: Services, newest: Event) -> int:
    is_group = newest.facts.job_type == GROUP_TYPE and newest.is_readable
    return await services.group_reader.held_by(newest.job_id) if is_group else 0


async def _holder(reader: JobIndexReader, newest: Event) -> JobRow | None:
    lock_key = newest.facts.lock_key
    if lock_key is None or newest.after.state is not State.DEFERRED:
        return None
    query = JobQuery(states=frozenset({State.RUNNING}), lock_key=lock_key, limit=1)
    page = await reader.jobs(query)
    return next(iter(page.items), None)
