"""What the first screen shows: is the fleet well, what is stuck, what just happened."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobfleet_contracts.index import EventQuery, OpenRow, QueueDepth
from jobfleet_contracts.job import LANES
from jobfleet_contracts.state import State
from jobfleet_dashboard.services import Services
from jobfleet_dashboard.views.event_row import EventRow, event_row
from jobfleet_dashboard.views.overview.throughput import Throughput, read_throughput
from jobfleet_dashboard.views.workers.worker_row import WorkerRow, worker_rows
from jobfleet_protocol.reading.fleet_verdict import FleetVerdict
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of

FEED_SIZE = 200


@dataclass(frozen=True, slots=True)
class Tile:
    """Jobs in one state."""

    state: State
    count: int


@dataclass(frozen=True, slots=True)
class QueueRow:
    """Jobs queued, and messages ready in the lanes high, normal and low.

    Messages of jobs that have been cancelled stay until a worker takes them.

    Attributes:
        longest: the job that has been queued here longest, ``None`` for none.
    """

    name: str
    queued: int
    lanes: tuple[int, ...]
    longest: OpenRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """The first screen.

    Attributes:
        periods: the last hour and the last day.
        broker_answers: whether the lanes of ``queues`` are known.
        oldest: the job that has been queued longest, of all queues.
        events: the newest 200, newest first; empty where only the instruments are wanted.
    """

    verdict: FleetVerdict
    tiles: tuple[Tile, ...]
    periods: tuple[Throughput, ...]
    queues: tuple[QueueRow, ...]
    broker_answers: bool
    oldest: OpenRow | None
    workers: tuple[WorkerRow, ...]
    events: tuple[EventRow, ...]
    is_empty: bool
    feed_size: int = FEED_SIZE


async def read_overview(services: Services, *, feed: bool) -> OverviewPage:
    """Read it all; cost does not depend on what is stored.

    Raises:
        BackendUnavailable: something cannot be read.
    """
    limit = FEED_SIZE if feed else 1
    verdict, periods, newest = await asyncio.gather(
        services.verdict.read(),
        read_throughput(services.ended, services.clock.now()),
        services.backend.reader.events(EventQuery(limit=limit)),
    )
    facts, events = verdict.facts, newest.items
    waiting = facts.longest_queued
    oldest = min(waiting.values(), key=lambda row: row.opened_at, default=None)
    return OverviewPage(
        verdict=verdict,
        tiles=tuple(Tile(state, facts.counts.get(state, 0)) for state in State),
        periods=periods,
        queues=queue_rows(facts.depths, facts.queued, waiting),
        broker_answers=not facts.broker,
        oldest=oldest,
        workers=worker_rows(facts.workers, services.clock.now()),
        events=tuple(await in_turns(event_row, events, texts_of)) if feed else (),
        is_empty=not events,
    )


def queue_rows(
    depths: Sequence[QueueDepth], queued: Mapping[str, int], longest: Mapping[str, OpenRow]
) -> tuple[QueueRow, ...]:
    """Return one row per queue, by name, each with the job that has been queued there longest."""
    ready: Mapping[tuple[str, str], int] = {(d.queue, d.lane): d.ready for d in depths}
    names = sorted({depth.queue for depth in depths} | set(queued))
    return tuple(
        QueueRow(
            name,
            queued.get(name, 0),
            tuple(ready.get((name, lane), 0) for lane in LANES),
            longest.get(name),
        )
        for name in names
    )
