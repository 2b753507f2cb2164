"""What Prometheus reads from this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from functools import partial
from operator import itemgetter
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import JobIndexReader, JobQueue
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.schedule_record import ScheduleReader

MOST_LATE = 20
LOOK_SECONDS = 2.0
"""A server that answers no sooner costs the page its figures, nothing else."""
_WAITING_TYPE = "external.call"
"""The one type that waits for a callback, by which the dashboard ends its jobs."""
_REASONS = {State.FAILED: "third_party", State.TIMED_OUT: "timed_out"}

T = TypeVar("T")


class Metrics:
    """Counters of one dashboard process, in a registry of their own."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        reader: JobIndexReader,
        schedules: ScheduleReader,
        requests: RequestCounter | None,
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._schedules = schedules
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        if requests is not None:
            self.registry.register(_StorageRequests(requests))
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.jobs_registered = counter("jobfleet_jobs_registered_total", "Jobs accepted here.")
        self._completed = counter(
            "jobfleet_jobs_completed_total", "Jobs whose end was written here, by type.", ["type"]
        )
        self._failed = counter(
            "jobfleet_jobs_failed_total",
            "Jobs that ended failed or timedOut here, by reason and type.",
            ["reason", "type"],
        )
        self._waiting = gauge(
            "jobfleet_jobs_concurrent_waiting",
            "Jobs of the fleet that wait for a third party's callback.",
        )
        self._depth = gauge("jobfleet_queue_depth", "Messages ready in a lane.", ["queue", "lane"])
        self._late = gauge(
            "jobfleet_schedule_late_seconds",
            "Seconds since a tick that should have fired, of the 20 schedules that are latest.",
            ["schedule"],
        )

    def job_ended(self, state: State) -> None:
        """Count a job that this process ended, as a third party's callback does."""
        if state is State.COMPLETED:
            self._completed.labels(_WAITING_TYPE).inc()
        elif state in _REASONS:
            self._failed.labels(_REASONS[state], _WAITING_TYPE).inc()

    async def text(self) -> bytes:
        """Return the exposition format; what cannot be looked up is left out or as it was."""
        depths, counts, late = await asyncio.gather(
            _looked_up(self._queue.depths()),
            _looked_up(self._reader.counts()),
            _looked_up(self._schedules.late_seconds()),
        )
        self._late.clear()
        latest = sorted((late or {}).items(), key=itemgetter(1), reverse=True)
        for name, seconds in latest[:MOST_LATE]:
            self._late.labels(name).set(seconds)
        self._depth.clear()
        for depth in depths or ():
            self._depth.labels(depth.queue, depth.lane).set(depth.ready)
        if counts is not None:
            self._waiting.set(counts.get(State.WAITING, 0))
        return generate_latest(self.registry)


class _StorageRequests(Collector):
    def __init__(self, counter: RequestCounter) -> None:
        self._counter = counter

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "jobfleet_storage_requests",
            "Requests sent to the storage servers, by operation and result.",
            labels=["operation", "result"],
        )
        for labels, count in self._counter.counts().items():
            family.add_metric(labels, count)
        yield family


async def _looked_up(question: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await question
    except (BackendError, TimeoutError):
        return None
