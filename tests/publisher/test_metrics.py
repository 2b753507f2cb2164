"""What a program that submits jobs shows to Prometheus."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_publisher import Publisher
from jobfleet_publisher.metrics import PublisherMetrics
from tests.promtool import check_metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def counting(settings: Settings, backend: Backend, registry: CollectorRegistry) -> Publisher:
    """A publisher whose storage has been asked once."""
    requests = RequestCounter()
    requests.count("trail.insert", "ok")
    return Publisher(
        backend=replace(backend, requests=requests),
        clock=SystemClock(),
        defaults=settings.job_defaults,
        metrics=PublisherMetrics(registry=registry),
    )


async def test_new_jobs_are_counted_and_repetitions_are_not(
    counting: Publisher, registry: CollectorRegistry
) -> None:
    for _ in range(3):
        await counting.submit("echo", idempotency_key="once")
    await counting.submit_many([{"type": "echo"}, {"type": "echo"}])
    assert registry.get_sample_value("jobfleet_jobs_registered_total") == 3


async def test_promtool_finds_nothing_in_it(
    counting: Publisher, registry: CollectorRegistry
) -> None:
    text = generate_latest(registry)
    assert b'jobfleet_storage_requests_total{operation="trail.insert",result="ok"} 1.0' in text
    check_metrics(text)


async def test_a_second_publisher_in_one_registry_is_refused(
    counting: Publisher, registry: CollectorRegistry
) -> None:
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        PublisherMetrics(registry=registry)
