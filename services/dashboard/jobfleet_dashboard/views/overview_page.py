"""What the first screen shows: is the fleet well, what is stuck, what just happened."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobfleet_contracts.index import EventQuery, OpenRow, QueueDepth
from jobfleet_contracts.state import State
from jobfleet_dashboard.services import Services
from jobfleet_dashboard.views.durations import spell
from jobfleet_dashboard.views.event_row import EventRow, event_row
from jobfleet_dashboard.views.fleet_sentence import FleetSentence, fleet_sentence
from jobfleet_dashboard.views.throughput_chart import Bucket, ThroughputChart, draw_throughput
from jobfleet_dashboard.views.throughput_reader import ThroughputReader
from jobfleet_dashboard.views.worker_row import WorkerRow, worker_rows

FEED_SIZE = 200
_LANES = ("high", "normal", "low")


@dataclass(frozen=True, slots=True)
class Tile:
    """Jobs in one state."""

    state: State
    count: int


@dataclass(frozen=True, slots=True)
class QueueRow:
    """Messages ready in the lanes high, normal and low."""

    name: str
    lanes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """The first screen.

    Attributes:
        figures: name and value beside the chart.
        events: the newest 200, newest first; empty where only the instruments are wanted.
    """

    verdict: FleetSentence
    tiles: tuple[Tile, ...]
    figures: tuple[tuple[str, str], ...]
    chart: ThroughputChart
    queues: tuple[QueueRow, ...]
    oldest: OpenRow | None
    workers: tuple[WorkerRow, ...]
    events: tuple[EventRow, ...]
    is_empty: bool
    feed_size: int = FEED_SIZE


async def read_overview(
    services: Services, throughput: ThroughputReader, *, feed: bool
) -> OverviewPage:
    """Read it all; cost does not depend on what is stored.

    Raises:
        BackendUnavailable: something cannot be read.
    """
    backend, now = services.backend, services.clock.now()
    counts, workers, depths, buckets, oldest = await asyncio.gather(
        backend.reader.counts(),
        backend.directory.workers(),
        backend.queue.depths(),
        throughput.read(),
        _oldest_queued(services),
    )
    limit = FEED_SIZE if feed else 1
    events = (await backend.reader.events(EventQuery(limit=limit))).items
    return OverviewPage(
        verdict=fleet_sentence(counts=counts, workers=workers, oldest=oldest, now=now),
        tiles=tuple(Tile(state, counts.get(state, 0)) for state in State),
        figures=_figures(buckets),
        chart=draw_throughput(buckets),
        queues=queue_rows(depths),
        oldest=oldest,
        workers=worker_rows(workers, now),
        events=tuple(event_row(event) for event in events) if feed else (),
        is_empty=not events,
    )


async def _oldest_queued(services: Services) -> OpenRow | None:
    page = await services.backend.reader.open_rows(states=frozenset({State.QUEUED}), limit=1000)
    return min(page.items, key=lambda row: row.opened_at, default=None)


def queue_rows(depths: Sequence[QueueDepth]) -> tuple[QueueRow, ...]:
    """Return one row per queue, by name."""
    ready: Mapping[tuple[str, str], int] = {(d.queue, d.lane): d.ready for d in depths}
    names = sorted({depth.queue for depth in depths})
    return tuple(
        QueueRow(name, tuple(ready.get((name, lane), 0) for lane in _LANES)) for name in names
    )


def _figures(buckets: Sequence[Bucket]) -> tuple[tuple[str, str], ...]:
    ended = sum(bucket.total for bucket in buckets)
    failed = sum(bucket.failed for bucket in buckets)
    timed_out = sum(bucket.timed_out for bucket in buckets)
    busy = sum(bucket.busy_ms for bucket in buckets)
    share = f"{(failed + timed_out) / ended:.1%}" if ended else "none"
    return (
        ("ended", f"{ended:,}"),
        ("failed", f"{failed:,}"),
        ("timed out", f"{timed_out:,}"),
        ("ended badly", share),
        ("mean duration", spell(busy / ended / 1000) if ended else "none"),
    )
