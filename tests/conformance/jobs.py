"""Jobs, events and messages for the suites."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event, HeldLock, JobFacts
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status, step_of
from jobfleet_protocol.trail.transitions import Change, draft

T = TypeVar("T")
BEGIN = datetime.now(UTC).replace(microsecond=0)


def a_request(**fields: Any) -> JobRequest:
    return JobRequest(**{"type": "demo.steps", **fields})


def a_message(**fields: Any) -> JobMessage:
    return JobMessage(request=a_request(**fields), sequence=1, published_at=BEGIN)


def queued(*, at: float = 0, begin: datetime = BEGIN, **fields: Any) -> Event:
    """Event 1 of a new job, ``at`` seconds after the beginning."""
    return draft(
        None,
        JobFacts.of(a_request(**fields)),
        Change(kind=Status.QUEUED, max_attempts=3, data={"request": {"type": "demo.steps"}}),
        occurred_at=begin + timedelta(seconds=at),
    )


def after(event: Event, status: str, *, seconds: float = 1, **change: Any) -> Event:
    """The event that follows, some seconds later."""
    moment = event.occurred_at + timedelta(seconds=seconds)
    return draft(
        event,
        event.facts,
        Change(kind=Status.of(status), step=step_of(status), **change),
        occurred_at=moment,
    )


def started(event: Event, *, worker_id: str = "w1", locks: tuple[HeldLock, ...] = ()) -> Event:
    return after(event, "Started", worker_id=worker_id, lock="job/aa/x", locks=locks)


def completed(event: Event) -> Event:
    return after(event, "Completed", worker_id="w1", duration_ms=12, data={"result": [1, "ü"]})


def a_life(**fields: Any) -> list[Event]:
    """A whole short history: queued, started, one step, completed."""
    first = queued(**fields)
    second = started(first)
    third = after(second, "Step 1", worker_id="w1", message="half way")
    return [first, second, third, completed(third)]


def open_row(event: Event, **changes: Any) -> OpenRow:
    row = OpenRow(
        facts=event.facts,
        incarnation=event.after.incarnation,
        state=event.after.state,
        sequence=0,
        opened_at=event.occurred_at,
        updated_at=event.occurred_at,
    )
    return replace(row, **changes)


def open_job(event: Event, **changes: Any) -> OpenRow:
    """The open row of a job whose first event is known to stand."""
    return open_row(event, sequence=1, **changes)


async def write(backend: Backend, *events: Event) -> None:
    """Write events to trail and index, as the writers of the protocol do."""
    for event in events:
        if event.sequence == 1:
            await backend.index.open(open_row(event))
        await backend.trail.insert([event])
        backend.index.record([event])
        if event.after.state.is_terminal:
            backend.index.close(event.job_id, event.after.incarnation)
    await backend.index.flush()


async def write_dead(backend: Backend, **fields: Any) -> Event:
    """Write a job that failed; return its last event."""
    first = queued(**fields)
    last = after(started(first), "Failed", worker_id="w1")
    await write(backend, first, started(first), last)
    return last


async def all_open_rows(backend: Backend, states: frozenset[State] | None = None) -> list[OpenRow]:
    """Every open row, page by page."""
    rows: list[OpenRow] = []
    cursor = None
    while True:
        page = await backend.reader.open_rows(states=states, cursor=cursor, limit=2)
        rows += page.items
        cursor = page.next
        if cursor is None:
            return rows


def an_id() -> str:
    return new_id()
