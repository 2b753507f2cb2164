"""One job as its trail tells it and as it may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_locks import LIMIT, JobLocks, locks_after
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.successors import is_due, successor_id
from jobfleet_protocol.control.schedule_state import schedule_of_job
from jobfleet_protocol.reading.page_bytes import last_of_page


def etag_of(job_id: str, sequence: int) -> str:
    """Return the tag of a job whose newest event has this sequence."""
    return f'"{job_id}-{sequence}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """A job that follows another one; ``job_id`` is ``None`` unless the ending asked for it."""

    type: str
    when: str
    job_id: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``GET /api/jobs/{jobId}`` gives it."""
        return {"type": self.type, "when": self.when, "jobId": self.job_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """Everything that API, page and command line show; all of it is masked.

    Attributes:
        newest: the last event that can be read; its ``after`` is the job's state.
        request: ``None`` if event 1 cannot be read.
        events: the complete history, oldest first; beyond 1,000 the newest 1,000.
        older: cursor of the events before these, ``None`` if they are all there.
        lifecycle: all events that are not steps, oldest first; beyond 1,000 the newest 1,000. Rows
            that cannot be read are among them.
        lifecycle_older: cursor of the lifecycle events before these, ``None`` for none.
        started_at: start of the last attempt of this incarnation.
        completed_at: when this incarnation ended.
        result: what the handler returned, if it completed.
        last_error: ``{"type","message","traceback"}`` of the last failure that ``lifecycle`` shows.
        last_response: the last answer of an HTTP target, after failures too.
        checkpoint: the last one of this incarnation that ``events`` show.
        callback_conflict: why the result is not delivered, where another job has the id of the job
            that should.
    """

    newest: Event
    request: JobRequest | None
    events: Sequence[Event]
    older: str | None = None
    lifecycle: Sequence[Event] = ()
    lifecycle_older: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    result: Any = None
    last_error: Any = None
    last_response: Any = None
    checkpoint: Any = None
    callback_conflict: str | None = None

    @property
    def last_sequence(self) -> int:
        """Sequence of the last event, also if that cannot be read."""
        return self.events[-1].sequence

    @property
    def next_retry_at(self) -> datetime | None:
        """When a retrying job starts again."""
        after = self.newest.after
        return after.due_at if after.state is State.RETRYING else None

    @property
    def callback_job_id(self) -> str | None:
        """The job that delivers this incarnation's result, once it has ended; ``None``: none."""
        after = self.newest.after
        if self.request is None or self.request.callback_url is None:
            return None
        if not after.state.is_terminal:
            return None
        return callback_job_id(self.newest.job_id, after.incarnation)

    @property
    def successors(self) -> Sequence[Successor]:
        """The jobs that follow this incarnation, as its request names them."""
        if self.request is None:
            return ()
        job_id, after = self.newest.job_id, self.newest.after
        return [
            Successor(
                type=step.type,
                when=step.when,
                job_id=successor_id(job_id, number, after.incarnation)
                if after.state.is_terminal and is_due(step, after.state)
                else None,
            )
            for number, step in enumerate(self.request.then)
        ]

    @property
    def group(self) -> tuple[str, int] | None:
        """The group that it belongs to, and its place there; ``None``: none."""
        member = None if self.request is None else self.request.member
        return None if member is None else (member.group_id, member.index)

    @property
    def follows(self) -> str | None:
        """The job after whose end this one was made; ``None``: none."""
        follows = None if self.request is None else self.request.follows
        return None if follows is None else follows.job_id

    @property
    def locks(self) -> JobLocks:
        """What the job holds while it runs, or waits for."""
        return locks_after(self.newest)

    @property
    def limits(self) -> Sequence[str]:
        """Named limits: those that its request names, and those of its handler that show."""
        asked = [] if self.request is None else self.request.limits
        locks = self.locks
        shown = [*locks.holds, *([locks.waits_for] if locks.waits_for else [])]
        return list(dict.fromkeys([*asked, *(one.name for one in shown if one.kind == LIMIT)]))

    @property
    def schedule(self) -> tuple[str, str | None] | None:
        """Name and tick of the schedule that made it; ``None``: a caller submitted it."""
        context = None if self.request is None else self.request.context
        return schedule_of_job(self.newest.job_id, context)

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``GET /api/jobs/{jobId}``, with the newest 1 MiB of its events."""
        facts, after, request = self.newest.facts, self.newest.after, self.request
        shown = last_of_page(self.events)
        older = self.older if len(shown) == len(self.events) else f"b{shown[0].sequence}"
        schedule_name, scheduled_for = self.schedule or (None, None)
        return {
            "jobId": facts.job_id,
            "jobName": facts.job_name,
            "type": facts.job_type,
            "state": after.state.value,
            "queue": facts.queue,
            "priority": facts.priority,
            "lockKey": facts.lock_key,
            "lockSlots": facts.lock_slots,
            "limits": list(self.limits),
            **self.locks.to_json(),
            "attempt": after.attempt,
            "attempts": after.attempt,
            "maxAttempts": after.max_attempts,
            "epoch": after.epoch,
            "workerId": after.worker_id,
            "createdAt": format_time(facts.created_at),
            "runAt": format_optional_time(None if request is None else request.run_at),
            "startedAt": format_optional_time(self.started_at),
            "completedAt": format_optional_time(self.completed_at),
            "updatedAt": format_time(self.newest.occurred_at),
            "nextRetryAt": format_optional_time(self.next_retry_at),
            "result": self.result,
            "lastError": self.last_error,
            "lastResponse": self.last_response,
            "callbackJobId": self.callback_job_id,
            "callbackConflict": self.callback_conflict,
            "groupId": None if self.group is None else self.group[0],
            "followsJobId": self.follows,
            "successors": [each.to_json() for each in self.successors],
            "scheduleName": schedule_name,
            "scheduledFor": scheduled_for,
            "payload": request and request.payload,
            "context": request and request.context,
            "events": [event.to_json() for event in shown],
            "eventsNext": older,
        }
