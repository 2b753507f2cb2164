"""One worker as the fleet page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobfleet_contracts.backend import MOST_CLOCK_OFFSET
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What is shown of a worker; ``mood``: ``alive``, ``draining``, ``silent``, ``unreadable``."""

    worker_id: str
    host: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    slots: int
    busy: int
    queues: tuple[str, ...]
    types: tuple[str, ...]
    running: tuple[RunningJob, ...]
    open_circuits: tuple[str, ...]
    clock_off_seconds: float
    alive: bool
    mood: str


def worker_rows(workers: Sequence[WorkerStatus], now: datetime) -> tuple[WorkerRow, ...]:
    """Return all that the directory knows, the living first: a lost one is listed for an hour."""
    rows = [_row(worker, now) for worker in workers]
    return tuple(sorted(rows, key=lambda row: (not row.alive, row.started_at, row.worker_id)))


def _mood(worker: WorkerStatus, *, alive: bool) -> str:
    if worker.unreadable:
        return "unreadable"
    return "silent" if not alive else "draining" if worker.draining else "alive"


def _wrong(seconds: float) -> float:
    """Return by how much the clock is wrong, 0 if that stops no schedule."""
    return seconds if abs(seconds) > MOST_CLOCK_OFFSET else 0.0


def _row(worker: WorkerStatus, now: datetime) -> WorkerRow:
    alive = worker.is_alive(now)
    return WorkerRow(
        worker_id=worker.worker_id,
        host=f"row cannot be read: {worker.unreadable}" if worker.unreadable else worker.host,
        pid=worker.pid,
        version=worker.version,
        started_at=worker.started_at,
        heartbeat_at=worker.heartbeat_at,
        slots=worker.slots,
        busy=len(worker.running),
        queues=worker.queues,
        types=worker.types,
        running=worker.running,
        open_circuits=worker.open_circuits,
        clock_off_seconds=_wrong(worker.clock_off_seconds),
        alive=alive,
        mood=_mood(worker, alive=alive),
    )
