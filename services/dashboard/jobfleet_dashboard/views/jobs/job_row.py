"""One job as a row of a list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import JobRow
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.durations import spell_ms
from jobfleet_protocol.reading.group_record import held_mark

_DUE = {State.SCHEDULED: "starts", State.DEFERRED: "next try", State.RETRYING: "next try"}


@dataclass(frozen=True, slots=True)
class JobListRow:
    """What a row shows.

    Attributes:
        step, of: progress of a running job, 0 for none.
        locks: what it holds while it runs, or waits for; empty for nothing.
        held: what keeps a group open though all its members have ended; empty for nothing.
        due_at: when it is tried next, if it waits for that; ``due`` is the verb for it.
        took: how long an ended job's last attempt ran; empty for others.
    """

    job_id: str
    name: str
    job_type: str
    queue: str
    lock_key: str | None
    state: State
    attempt: int
    max_attempts: int
    worker_id: str | None
    message: str
    updated_at: datetime
    sequence: int
    due_at: datetime | None
    due: str = ""
    took: str = ""
    step: int = 0
    of: int = 0
    locks: str = ""
    held: str = ""


def row_of(row: JobRow, *, held_by: int = 0) -> JobListRow:
    """Return the row of an index row; ``held_by`` members keep a group open."""
    running = row.state is State.RUNNING
    step, of = (row.step or 0, row.steps or 0) if running else (0, 0)
    return JobListRow(
        job_id=row.facts.job_id,
        name=row.facts.job_name,
        job_type=row.facts.job_type,
        queue=row.facts.queue,
        lock_key=row.facts.lock_key,
        state=row.state,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        worker_id=row.worker_id if row.state in (State.RUNNING, State.WAITING) else None,
        message="" if row.state is State.SCHEDULED else masked_text(row.message),
        updated_at=row.updated_at,
        sequence=row.sequence,
        due_at=row.due_at if row.state in _DUE and _has_time(row) else None,
        due=_DUE.get(row.state, ""),
        took=spell_ms(row.duration_ms) if row.state.is_terminal else "",
        step=step,
        of=of,
        locks=_locks(row),
        held=held_mark(held_by) if held_by else "",
    )


def is_open_group(row: JobRow) -> bool:
    """Whether it is a group that has not ended."""
    return row.facts.job_type == GROUP_TYPE and not row.state.is_terminal


def _has_time(row: JobRow) -> bool:
    """Whether it waits for a time: one that was due at once waits for something else."""
    return row.due_at is not None and row.due_at > row.updated_at


def _locks(row: JobRow) -> str:
    if row.locks.waits_for is not None:
        return f"waits for {row.locks.waits_for.text}"
    holds = "; ".join(lock.text for lock in row.locks.holds)
    return f"holds {holds}" if holds else ""
