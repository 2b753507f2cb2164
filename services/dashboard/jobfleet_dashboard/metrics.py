"""What Prometheus reads from this process."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import JobQueue


class Metrics:
    """Counters of one dashboard process, in a registry of their own."""

    def __init__(self, *, queue: JobQueue) -> None:
        self._queue = queue
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.jobs_registered = Counter(
            "jobfleet_jobs_registered_total", "Jobs accepted here.", registry=self.registry
        )
        self._depth = Gauge(
            "jobfleet_queue_depth",
            "Messages ready in a lane.",
            ["queue", "lane"],
            registry=self.registry,
        )

    async def text(self) -> bytes:
        """Return the exposition format; depths are left out while the broker is away."""
        self._depth.clear()
        try:
            depths = await self._queue.depths()
        except BackendError:
            depths = ()
        for depth in depths:
            self._depth.labels(depth.queue, depth.lane).set(depth.ready)
        return generate_latest(self.registry)
