"""The jobs of a filled fleet that are hard on a page: long, large, waited for, dead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from devtools.bench_dashboard.places import CUSTOMER
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.lookup_keys import lost_by
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.trail.transitions import Change, draft

WORKER = "0190aaaa-0000-7000-8000-000000000001"
"""Wrote all events, and lost some jobs."""
OTHER_WORKER = "0190aaaa-0000-7000-8000-000000000002"
WAITED_FOR = "customer-42"
LARGE_CHARACTERS = 900_000
"""Almost the mebibyte that a payload and a result may have."""
LOST = 30
"""Jobs that one worker lost: more than its page shows."""

History = Sequence[Event]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each there is."""

    long_events: int = 20_000
    waiters: int = 10_000
    queued: int = 2_000
    running: int = 20
    scheduled: int = 500
    retrying: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Their histories; ``ended`` is a job like most."""

    ended: History
    long: History
    large: History
    holding: History
    waiters: Sequence[History]
    others: Sequence[History]

    def histories(self) -> Iterator[History]:
        """Yield all of them."""
        yield from (self.ended, self.long, self.large, self.holding)
        yield from self.waiters
        yield from self.others


def landmarks(now: datetime, sizes: Sizes) -> Landmarks:
    """Return them as of ``now``; all of it happened in the hours before."""
    ago = now.astimezone(UTC) - timedelta(hours=2)
    return Landmarks(
        ended=_completed(now - timedelta(minutes=20), {"rows": 12}, {"customer": CUSTOMER}),
        long=_long(ago, sizes.long_events),
        large=_large(now - timedelta(minutes=5)),
        holding=_begun("import customers", ago, lock_key=WAITED_FOR),
        waiters=[_deferred(n, ago) for n in range(sizes.waiters)],
        others=[
            *(_opened(f"send letter {n}", ago, seconds=n) for n in range(sizes.queued)),
            *(_begun(f"sort parcels {n}", now, lock_key=None) for n in range(sizes.running)),
            *(_scheduled(n, now) for n in range(sizes.scheduled)),
            *(_retrying(n, ago) for n in range(sizes.retrying)),
            *(_lost(n, ago) for n in range(LOST)),
        ],
    )


def open_row_of(history: History) -> OpenRow | None:
    """Return the open row that such a job has, ``None`` where it has ended."""
    newest = history[-1]
    after = newest.after
    if after.state.is_terminal:
        return None
    return OpenRow(
        facts=newest.facts,
        incarnation=after.incarnation,
        state=after.state,
        sequence=after.sequence,
        opened_at=history[0].occurred_at,
        updated_at=newest.occurred_at,
        lock=after.lock,
        due_at=after.due_at,
        published=after.sequence,
    )


def workers(found: Landmarks, now: datetime) -> Iterator[WorkerStatus]:
    """Yield two workers that run what is running."""
    held = [h[-1] for h in found.histories() if h[-1].after.state is State.RUNNING]
    for number, part in enumerate((held[::2], held[1::2])):
        yield WorkerStatus(
            worker_id=(WORKER, OTHER_WORKER)[number],
            host=f"node-{number}",
            pid=4_000 + number,
            version="1.0",
            started_at=now - timedelta(hours=3),
            heartbeat_at=now,
            slots=20,
            queues=("default",),
            types=("demo.steps", "report.render"),
            running=tuple(_running(event, now) for event in part),
        )


def _running(event: Event, now: datetime) -> RunningJob:
    facts = event.facts
    return RunningJob(
        job_id=facts.job_id,
        job_name=facts.job_name,
        job_type=facts.job_type,
        attempt=event.after.attempt,
        started_at=now - timedelta(minutes=2),
        lease_seconds_left=41.0,
    )


def _long(at: datetime, events: int) -> History:
    history = [*_begun("a very long job", at, lock_key=None)]
    for number in range(1, events - len(history) + 1):
        data = {"step": number, "of": events}
        change = Change(
            kind=Status.STEP, step=number, worker_id=WORKER, message=f"{number}/{events}", data=data
        )
        history.append(_next(history[-1], change, seconds=0.3))
    return history


def _large(at: datetime) -> History:
    text = [f"line {n} of a value that is far too large to read" for n in range(100_000)]
    value = {"lines": text[: LARGE_CHARACTERS // len(text[-1])]}
    return _completed(at, value, value)


def _completed(at: datetime, result: Any, payload: Any) -> History:
    first, second = _begun("import customers", at, lock_key=None, payload=payload)
    data = {"result": result}
    done = Change(kind=Status.COMPLETED, worker_id=WORKER, duration_ms=1_500, data=data)
    return [first, second, _next(second, done, seconds=1.5)]


def _lost(number: int, at: datetime) -> History:
    """A job that another worker took over and completed."""
    first, second = _begun(f"move files {number}", at, lock_key=None, seconds=number)
    taken = Change(kind=Status.TAKEN_OVER, worker_id=OTHER_WORKER, data=lost_by(WORKER))
    third = _next(second, taken, seconds=60)
    lock = f"job/{first.job_id}"
    again = Change(kind=Status.STARTED, worker_id=OTHER_WORKER, lock=lock, duration_ms=300)
    fourth = _next(third, again)
    done = Change(kind=Status.COMPLETED, worker_id=OTHER_WORKER, duration_ms=900)
    return [first, second, third, fourth, _next(fourth, done)]


def _deferred(number: int, at: datetime) -> History:
    first = _first(f"bill customer {number}", at, lock_key=WAITED_FOR, seconds=number * 0.5)
    due = first.occurred_at + timedelta(minutes=1)
    message = f"lock {WAITED_FOR} is held by another job"
    return [first, _next(first, Change(kind=Status.DEFERRED, due_at=due, message=message))]


def _scheduled(number: int, now: datetime) -> History:
    change = Change(kind=Status.SCHEDULED, due_at=now + timedelta(hours=number + 1), max_attempts=3)
    facts = JobFacts.of(JobRequest(type="demo.steps", job_name=f"nightly close {number}"))
    return [draft(None, facts, change, occurred_at=now - timedelta(minutes=30))]


def _retrying(number: int, at: datetime) -> History:
    history = list(_begun(f"call printer {number}", at, lock_key=None, seconds=number))
    due = history[-1].occurred_at + timedelta(minutes=5)
    error = {"type": "TimeoutError", "message": f"printer {number} does not answer"}
    failed = Change(
        kind=Status.ATTEMPT_FAILED,
        worker_id=WORKER,
        due_at=due,
        message=error["message"],
        duration_ms=900,
        data={"error": error},
    )
    history.append(_next(history[-1], failed))
    again = Change(kind=Status.RETRY_SCHEDULED, worker_id=WORKER, data={"delaySeconds": 300})
    return [*history, _next(history[-1], again)]


def _begun(
    name: str, at: datetime, *, lock_key: str | None, seconds: float = 0, **fields: Any
) -> tuple[Event, Event]:
    first = _first(name, at - timedelta(minutes=2), lock_key=lock_key, seconds=seconds, **fields)
    lock = key_lock(lock_key) if lock_key else f"job/{first.job_id}"
    start = Change(kind=Status.STARTED, worker_id=WORKER, lock=lock, duration_ms=300)
    return first, _next(first, start)


def _opened(name: str, at: datetime, *, seconds: float) -> History:
    return [_first(name, at, lock_key=None, seconds=seconds)]


def _first(
    name: str, at: datetime, *, lock_key: str | None, seconds: float = 0, **fields: Any
) -> Event:
    request = JobRequest(type="demo.steps", job_name=name, lock_key=lock_key, **fields)
    data = {"request": request.to_json(), "by": "bench"}
    moment = at + timedelta(seconds=seconds)
    change = Change(kind=Status.QUEUED, max_attempts=3, data=data)
    return draft(None, JobFacts.of(request), change, occurred_at=moment)


def _next(event: Event, change: Change, *, seconds: float = 1) -> Event:
    moment = event.occurred_at + timedelta(seconds=seconds)
    return draft(event, event.facts, change, occurred_at=moment)
