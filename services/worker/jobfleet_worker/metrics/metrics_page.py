"""What ``/metrics`` of a worker shows: its counters, and what is looked up at each scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.index import QueueDepth
from jobfleet_contracts.ports import JobQueue
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_worker.metrics.bare_metrics import BareMetrics
from jobfleet_worker.metrics.prometheus_metrics import PrometheusMetrics
from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker

DEPTH_SECONDS = 2.0
"""A broker that answers no sooner costs the page its queue depths, nothing else."""


_SHOWN_ALREADY = ("jobfleet_", "process_", "python_")


class _OwnMetrics(Collector):
    """What handlers and hooks count in Prometheus' usual registry."""

    def collect(self) -> Iterator[Metric]:
        for metric in REGISTRY.collect():
            if not metric.name.startswith(_SHOWN_ALREADY):
                yield metric

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead: metrics may be made at any time."""
        return iter(())


class MetricsPage(Collector):
    """Adds circuits, storage requests and queue depths to a worker's own counters."""

    def __init__(
        self,
        *,
        metrics: PrometheusMetrics,
        queue: JobQueue,
        requests: RequestCounter | None,
        circuits: CircuitBreaker,
    ) -> None:
        self._registry = metrics.registry
        self._queue = queue
        self._requests = requests
        self._circuits = circuits
        self._depths: Sequence[QueueDepth] = ()
        self._registry.register(self)
        if self._registry is not REGISTRY:
            self._registry.register(_OwnMetrics())

    async def text(self, *, named: bool = True) -> bytes:
        """Return Prometheus text; depths are left out while the broker is away.

        Args:
            named: whether the reader may see names of types, queues and hosts, and what handlers
                count. Else series that differ in these only are one.
        """
        try:
            async with asyncio.timeout(DEPTH_SECONDS):
                self._depths = await self._queue.depths()
        except (BackendError, TimeoutError):
            self._depths = ()
        return generate_latest(self._registry if named else BareMetrics(self._registry))

    def collect(self) -> Iterator[Metric]:
        """Yield what is kept elsewhere than in counters."""
        yield self._queue_depths()
        yield self._circuit_states()
        yield self._storage_requests()

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead, so that registering looks nothing up."""
        return iter(())

    def _queue_depths(self) -> Metric:
        family = GaugeMetricFamily(
            "jobfleet_queue_depth", "Messages ready in a lane.", labels=["queue", "lane"]
        )
        for depth in self._depths:
            family.add_metric([depth.queue, depth.lane], depth.ready)
        return family

    def _circuit_states(self) -> Metric:
        family = GaugeMetricFamily(
            "jobfleet_circuit_state",
            "Circuit per target host: 0 closed, 1 half open, 2 open.",
            labels=["target"],
        )
        for target, state in self._circuits.states().items():
            family.add_metric([target], state.value)
        return family

    def _storage_requests(self) -> Metric:
        family = CounterMetricFamily(
            "jobfleet_storage_requests",
            "Requests sent to the storage servers, by operation and result.",
            labels=["operation", "result"],
        )
        counter = self._requests
        for (operation, result), count in (counter.counts() if counter else {}).items():
            family.add_metric([operation, result], count)
        return family
