"""Queues and types as lists show them: depth, pause, oldest job, rates, who serves them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.index import EventQuery, OpenRow
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.ports import Clock, JobIndexReader, JobQueue
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.control.pause_state import NOT_PAUSED, Pause
from jobfleet_protocol.control.pauses import Pauses

ALIVE = timedelta(seconds=15)
"""A worker is alive for three heartbeats after its last one."""
RATE_SPAN = timedelta(minutes=1)
MOST_EVENTS = 999
"""Newest events that rates are counted from; with more in the minute, over their shorter span."""
_IN = frozenset({Status.QUEUED, Status.SCHEDULED, Status.REDRIVEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRecord:
    """One queue.

    Attributes:
        lanes: messages ready in each lane.
        oldest: the queued job that was opened first.
        in_per_minute, out_per_minute: jobs submitted and jobs ended, by the last minute.
        workers: ids of live workers that serve it.
    """

    name: str
    lanes: Mapping[str, int]
    pause: Pause | None
    oldest: OpenRow | None
    waiting_seconds: float | None
    in_per_minute: float
    out_per_minute: float
    workers: Sequence[str]

    @property
    def depth(self) -> int:
        """Messages ready in all lanes."""
        return sum(self.lanes.values())

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        oldest = self.oldest
        return {
            "queue": self.name,
            "depth": self.depth,
            "lanes": dict(self.lanes),
            **_pause_json(self.pause),
            "oldestJobId": None if oldest is None else oldest.facts.job_id,
            "oldestSince": None if oldest is None else format_time(oldest.opened_at),
            "waitingSeconds": self.waiting_seconds,
            "inPerMinute": self.in_per_minute,
            "outPerMinute": self.out_per_minute,
            "workers": list(self.workers),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRecord:
    """One job type; ``name`` is empty for all that had no count of their own."""

    name: str
    pause: Pause | None
    workers: Sequence[str]

    @property
    def pausable(self) -> bool:
        """Whether it is none of the types by which jobfleet finishes other jobs."""
        return bool(self.name) and self.name not in INTERNAL_TYPES

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        return {"type": self.name, **_pause_json(self.pause), "workers": list(self.workers)}


class QueueReader:
    """Reads queues and types of the fleet."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        reader: JobIndexReader,
        directory: WorkerDirectory,
        pauses: Pauses,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._directory = directory
        self._pauses = pauses
        self._clock = clock

    async def queues(self) -> list[QueueRecord]:
        """Return every queue that has messages, workers or a pause, by name.

        Raises:
            BackendError: broker or storage did not answer.
        """
        now = self._clock.now()
        query = EventQuery(since=now - RATE_SPAN, limit=MOST_EVENTS)
        depths, census, workers, pauses, events = await asyncio.gather(
            self._queue.depths(),
            self._reader.census(),
            self._live(now),
            self._pauses.read(),
            self._reader.events(query),
        )
        lanes: dict[str, dict[str, int]] = {}
        for depth in depths:
            lanes.setdefault(depth.queue, {})[depth.lane] = depth.ready
        served = {queue for worker in workers for queue in worker.queues}
        readable = [event for event in events.items if event.is_readable]
        span = _span(readable, now)
        came, gone = _counted(readable)
        return [
            QueueRecord(
                name=name,
                lanes=lanes.get(name, {}),
                pause=pauses.queues.get(name),
                oldest=(oldest := census.longest_queued.get(name)),
                waiting_seconds=_seconds_since(oldest, now),
                in_per_minute=round(came[name] / span, 1),
                out_per_minute=round(gone[name] / span, 1),
                workers=[w.worker_id for w in workers if name in w.queues],
            )
            for name in sorted(lanes.keys() | served | pauses.queues.keys())
        ]

    async def types(self) -> list[TypeRecord]:
        """Return every type that a live worker handles or that is paused, by name.

        Raises:
            BackendError: the storage did not answer.
        """
        workers, pauses = await asyncio.gather(self._live(self._clock.now()), self._pauses.read())
        handled = {job_type for worker in workers for job_type in worker.types}
        return [
            TypeRecord(
                name=name,
                pause=pauses.types.get(name),
                workers=[w.worker_id for w in workers if name in w.types],
            )
            for name in sorted(handled | pauses.types.keys())
        ]

    async def warning_of(self, subject: ControlSubject, name: str) -> str | None:
        """Return the warning of a pause whose queue or type no live worker serves.

        The name may be mistyped. ``None`` if a worker has, or if the directory was not read.
        """
        try:
            workers = await self._live(self._clock.now())
        except BackendError:
            return None  # the pause stands, whatever the list of workers does
        is_queue = subject is ControlSubject.QUEUE
        if any(name in (worker.queues if is_queue else worker.types) for worker in workers):
            return None
        return f"no live worker {'serves queue' if is_queue else 'handles type'} {name}"

    async def _live(self, now: datetime) -> list[WorkerStatus]:
        found = await self._directory.workers()
        return [worker for worker in found if now - worker.heartbeat_at < ALIVE]


def pause_reason(record: QueueRecord | TypeRecord) -> str:
    """Return what masking looks at in a queue or a type."""
    return "" if record.pause is None else record.pause.reason


def _pause_json(pause: Pause | None) -> dict[str, Any]:
    return NOT_PAUSED if pause is None else pause.to_json()


def _seconds_since(row: OpenRow | None, now: datetime) -> float | None:
    return None if row is None else round(max(0.0, (now - row.opened_at).total_seconds()), 1)


def _span(events: Sequence[Event], now: datetime) -> float:
    """Return the minutes that these events, newest first, come from."""
    if len(events) < MOST_EVENTS:
        return RATE_SPAN / timedelta(minutes=1)
    return max((now - events[-1].occurred_at) / timedelta(minutes=1), 1 / 600)


def _counted(events: Sequence[Event]) -> tuple[Counter[str], Counter[str]]:
    """Return how many jobs came into each queue, and how many ended."""
    came = Counter(e.facts.queue for e in events if e.kind in _IN)
    gone = Counter(
        e.facts.queue
        for e in events
        if e.after.state.is_terminal and e.kind is not Status.DISMISSED
    )
    return came, gone
