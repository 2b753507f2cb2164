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
from jobfleet_dashboard.views.overview.fleet_sentence import FleetSentence, fleet_sentence
from jobfleet_dashboard.views.overview.throughput import Throughput, read_throughput
from jobfleet_dashboard.views.workers.worker_row import WorkerRow, worker_rows

FEED_SIZE = 200


@dataclass(frozen=True, slots=True)
class Tile:
    """Jobs in one state."""

    state: State
    count: int


@dataclass(frozen=True, slots=True)
class QueueRow:
    """Messages ready in the lanes high, normal and low.

    Attributes:
        longest: the job that has been queued here longest, ``None`` for none.
    """

    name: str
    lanes: tuple[int, ...]
    longest: OpenRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """The first screen.

    Attributes:
        periods: the last hour and the last day.
        oldest: the job that has been queued longest, of all queues.
        events: the newest 200, newest first; empty where only the instruments are wanted.
    """

    verdict: FleetSentence
    tiles: tuple[Tile, ...]
    periods: tuple[Throughput, ...]
    queues: tuple[QueueRow, ...]
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
    backend, now = services.backend, services.clock.now()
    limit = FEED_SIZE if feed else 1
    census, workers, depths, periods, newest = await asyncio.gather(
        services.census.read(),
        backend.directory.workers(),
        backend.queue.depths(),
        read_throughput(services.ended, now),
        backend.reader.events(EventQuery(limit=limit)),
    )
    counts, events = census.counts, newest.items
    waiting = census.longest_queued
    oldest = min(waiting.values(), key=lambda row: row.opened_at, default=None)
    return OverviewPage(
        verdict=fleet_sentence(counts=counts, workers=workers, longest_queued=waiting, now=now),
        tiles=tuple(Tile(state, counts.get(state, 0)) for state in State),
        periods=periods,
        queues=queue_rows(depths, waiting),
        oldest=oldest,
        workers=worker_rows(workers, now),
        events=tuple(event_row(event) for event in events) if feed else (),
        is_empty=not events,
    )


def queue_rows(
    depths: Sequence[QueueDepth], longest: Mapping[str, OpenRow]
) -> tuple[QueueRow, ...]:
    """Return one row per queue, by name, each with the job that has been queued there longest."""
    ready: Mapping[tuple[str, str], int] = {(d.queue, d.lane): d.ready for d in depths}
    names = sorted({depth.queue for depth in depths} | set(longest))
    return tuple(
        QueueRow(name, tuple(ready.get((name, lane), 0) for lane in LANES), longest.get(name))
        for name in names
    )
