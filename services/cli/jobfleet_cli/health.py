"""The worker's own port, as the settings ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import AskServers
from jobfleet_contracts.ports import JobQueue
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.worker import Worker


def metrics_of(settings: Settings) -> Metrics:
    """Return the metrics collector, or a no-op one when ``JOBFLEET_METRICS_PORT`` is unset."""
    if settings.metrics_port is None:
        return NO_METRICS
    from jobfleet_worker.metrics.prometheus_metrics import PrometheusMetrics

    return PrometheusMetrics()


@asynccontextmanager
async def health_served(
    settings: Settings,
    *,
    probe: AskServers,
    queue: JobQueue,
    requests: RequestCounter | None,
    worker: Worker,
    metrics: Metrics,
) -> AsyncIterator[None]:
    """Answer ``/livez``, ``/readyz`` and ``/metrics`` while the block runs, if a port is set.

    Args:
        probe: asks the servers that the worker needs.
        requests: counts what was sent to the storage; ``None`` if that is not a server.

    Raises:
        SettingsError: the port cannot be bound, or an entry of ``JOBFLEET_API_KEYS`` does not fit.
    """
    if settings.metrics_port is None:
        yield
        return
    from jobfleet_cli.dropped_lines import DroppedLines
    from jobfleet_dashboard.security.api_keys import ApiKeys
    from jobfleet_worker.metrics.health_server import HealthServer
    from jobfleet_worker.metrics.metrics_page import MetricsPage
    from jobfleet_worker.metrics.prometheus_metrics import PrometheusMetrics

    assert isinstance(metrics, PrometheusMetrics)
    metrics.registry.register(DroppedLines())
    page = MetricsPage(
        metrics=metrics,
        queue=queue,
        requests=requests,
        circuits=worker.outbound.circuits,
    )
    keys = ApiKeys(settings.api_keys)

    def may_see_names(key: str | None) -> bool:
        if not keys:
            return settings.trust_network
        return key is not None and keys.find(key) is not None

    server = HealthServer(
        host="0.0.0.0" if settings.trust_network else "127.0.0.1",  # noqa: S104 - asked for
        port=settings.metrics_port,
        probe=probe,
        metrics=page.text,
        may_see_names=may_see_names,
    )
    await server.start()
    try:
        yield
    finally:
        await server.stop()
