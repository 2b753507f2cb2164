"""What a program that submits jobs can show to Prometheus; ``prometheus_client`` is needed."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobfleet_contracts.request_counter import RequestCounter


class PublisherMetrics(Collector):
    """Counters of one publisher, in the program's own registry unless another is given.

    Make it once per process and registry, and hand it to the publisher::

        async with Publisher.from_env(metrics=PublisherMetrics()) as publisher: ...
    """

    def __init__(self, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests: RequestCounter | None = None
        self._registered = Counter(
            "jobfleet_jobs_registered_total", "Jobs accepted here.", registry=registry
        )
        registry.register(self)

    def jobs_registered(self, count: int) -> None:
        """Count new jobs; repetitions of a submit are none."""
        self._registered.inc(count)

    def watch(self, requests: RequestCounter | None) -> None:
        """Show what a backend sends to its storage; called by the publisher."""
        self._requests = requests

    def describe(self) -> Iterator[Metric]:
        """Name what ``collect`` yields, so that one registry takes no second publisher."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted elsewhere."""
        family = self._family()
        if self._requests is not None:
            for labels, count in self._requests.counts().items():
                family.add_metric(labels, count)
        yield family

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(
            "jobfleet_storage_requests",
            "Requests sent to the storage servers, by operation and result.",
            labels=["operation", "result"],
        )
