"""A worker's metrics for readers who may see no name of the fleet."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_NAMELESS = frozenset({"le", "reason", "operation", "result", "lane"})
"""Labels of which jobfleet's code lists all values. A label that is missing here is left out."""
_HIGHEST = "jobfleet_circuit_state"
"""A state, not a count: of several hosts the worst one counts."""


class BareMetrics(Collector):
    """Shows jobfleet's own series without labels that name types, queues or hosts.

    Series that are equal then are added up. What handlers count is left out as a whole.
    """

    def __init__(self, metrics: Collector) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield what a stranger may see."""
        for metric in self._metrics.collect():
            if metric.name.startswith("jobfleet_"):
                yield _without_names(metric)
            elif metric.name.startswith(("process_", "python_")):
                yield metric


def _without_names(metric: Metric) -> Metric:
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in metric.samples:
        if sample.name.endswith("_created"):
            continue
        labels = ((n, value) for n, value in sample.labels.items() if n in _NAMELESS)
        series = (sample.name, tuple(labels))
        before = values.get(series, 0.0)
        added = max(before, sample.value) if metric.name == _HIGHEST else before + sample.value
        values[series] = added
    bare = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    bare.samples = [Sample(name, dict(labels), v) for (name, labels), v in values.items()]
    return bare
