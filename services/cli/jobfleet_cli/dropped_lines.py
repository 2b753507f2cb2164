"""How many log lines a process has dropped, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from jobfleet_cli.log_writer import dropped_lines


class DroppedLines(Collector):
    """Looks the number up at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the one counter."""
        yield CounterMetricFamily(
            "jobfleet_log_lines_dropped",
            "Log lines that standard error or the log file did not take.",
            value=dropped_lines(),
        )
