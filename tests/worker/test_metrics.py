"""What a worker counts, and the text that Prometheus reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_worker import Defer, Fail, JobContext, Retry, handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.metrics.metrics_page import MetricsPage
from jobfleet_worker.metrics.prometheus_metrics import MOST_TYPES, OTHER, Buckets, PrometheusMetrics
from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker
from jobfleet_worker.run.attempt import Stop
from jobfleet_worker.worker import Worker
from tests.polling import eventually
from tests.promtool import check_metrics
from tests.worker.workshop import OPTIONS, RunningWorker, Workshop

SECTION_10 = (
    "jobs_registered_total",
    "jobs_completed_total",
    "jobs_failed_total",
    "job_processing_duration_seconds",
    "job_queue_delay_seconds",
    "lease_operations_total",
    "lease_renewal_margin_seconds",
    "fenced_total",
    "deferrals_total",
    "retries_total",
    "queue_depth",
    "circuit_state",
    "storage_requests_total",
)


class Observed:
    """A running worker, its counters and its page."""

    def __init__(self, workshop: Workshop, functions: tuple[Callable[..., Any], ...]) -> None:
        self.metrics = PrometheusMetrics()
        worker = Worker(
            backend=workshop.backend,
            handlers=Handlers.of(*functions),
            options=replace(OPTIONS, worker_id="observed", no_handler_seconds=0),
            clock=workshop.clock,
            metrics=self.metrics,
        )
        backend = replace(workshop.backend, requests=RequestCounter())
        assert backend.requests is not None
        backend.requests.count("trail.insert", "ok")
        self.page = MetricsPage(
            metrics=self.metrics,
            queue=backend.queue,
            requests=backend.requests,
            circuits=worker.outbound.circuits,
        )
        self.circuits = worker.outbound.circuits
        self.running = RunningWorker(worker)

    def value(self, name: str, **labels: str) -> float:
        """Return a count, of all series that have these labels."""
        return sum(
            sample.value
            for metric in self.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == f"jobfleet_{name}" and labels.items() <= sample.labels.items()
        )

    async def until(self, wanted: float, name: str, **labels: str) -> None:
        """Wait for a count: it follows the event that the trail shows."""

        async def reached() -> bool:
            return self.value(name, **labels) >= wanted

        await eventually(f"{name}{labels or ''} is {wanted:g}", reached)
        assert self.value(name, **labels) == wanted


@handler("moody")
async def moody(payload: str, context: JobContext) -> None:
    match payload:
        case "fail":
            raise Fail("never")
        case "retry" if context.attempt == 1:
            raise Retry("again", after=0.01)
        case "defer" if context.epoch == 1:
            raise Defer(0.01, "later")
        case "hang":
            await asyncio.sleep(60)


@pytest.fixture
async def observed(workshop: Workshop) -> AsyncIterator[Observed]:
    found = Observed(workshop, (moody,))
    yield found
    await found.running.end()


async def test_a_completed_job_is_counted_and_timed(workshop: Workshop, observed: Observed) -> None:
    await workshop.run("moody", "well")
    await observed.until(1, "jobs_completed_total")
    await observed.until(1, "job_processing_duration_seconds_count")
    await observed.until(1, "job_queue_delay_seconds_count")
    await observed.until(1, "lease_operations_total", operation="delete", result="ok")


async def test_failures_are_counted_by_reason(workshop: Workshop, observed: Observed) -> None:
    await workshop.run("moody", "fail")
    await workshop.run("unknown.type")
    await workshop.run("moody", "hang", timeout_seconds=0.05, max_attempts=1)
    for reason in ("error", "no_handler", "timed_out"):
        await observed.until(1, "jobs_failed_total", reason=reason)


async def test_jobs_are_counted_by_type_and_those_without_a_handler_together(
    workshop: Workshop, observed: Observed
) -> None:
    await workshop.run("moody", "well")
    await workshop.run("of.a.stranger")
    await observed.until(1, "jobs_completed_total", type="moody")
    await observed.until(1, "jobs_failed_total", type=OTHER, reason="no_handler")
    for name in ("job_processing_duration_seconds_count", "job_queue_delay_seconds_count"):
        await observed.until(1, name, type="moody")
    text = await observed.page.text()
    assert b"of.a.stranger" not in text


def test_more_types_than_a_server_should_keep_share_a_label() -> None:
    metrics = PrometheusMetrics()
    metrics.types_known([f"type{number:03}" for number in range(MOST_TYPES + 9)])
    for number in range(MOST_TYPES + 9):
        metrics.attempt_ended(f"type{number:03}", 1)
    counts = [
        sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "jobfleet_job_processing_duration_seconds_count"
    ]
    assert sorted(counts) == [1] * MOST_TYPES + [9]


async def test_what_handlers_count_themselves_is_on_the_page(observed: Observed) -> None:
    counted = Counter("shop_orders", "Orders of the shop.")
    try:
        counted.inc(3)
        text = await observed.page.text()
        assert b"\nshop_orders_total 3.0" in text
        assert text.count(b"# TYPE process_cpu_seconds_total ") == 1
        check_metrics(text)
    finally:
        REGISTRY.unregister(counted)


async def test_retries_and_deferrals_are_counted_apart(
    workshop: Workshop, observed: Observed
) -> None:
    await workshop.run("moody", "retry")
    await workshop.run("moody", "defer")
    await observed.until(2, "jobs_completed_total")
    assert observed.value("retries_total") == 1
    assert observed.value("deferrals_total") == 1


async def test_a_renewal_shows_how_much_trust_was_left(
    workshop: Workshop, observed: Observed
) -> None:
    job_id = await workshop.submit("moody", "hang")

    async def renewed() -> bool:
        return observed.value("lease_renewal_margin_seconds_count") > 0

    await eventually("a lease is renewed", renewed)
    assert observed.value("lease_renewal_margin_seconds_sum") > 0
    assert observed.value("lease_operations_total", operation="renew", result="ok") > 0
    await workshop.canceller.cancel(job_id, by="test")
    await workshop.until_ended(job_id)


async def test_a_foreign_publishers_job_is_registered_here(
    workshop: Workshop, observed: Observed
) -> None:
    request = JobRequest(type="moody", payload="well")
    await workshop.backend.queue.publish(JobMessage(request=request))
    await observed.until(1, "jobs_completed_total")
    assert observed.value("jobs_registered_total") == 1


async def test_a_lost_lease_is_counted_as_fenced(workshop: Workshop, observed: Observed) -> None:
    job_id = await workshop.submit("moody", "hang")
    execution = await observed.running.run_of(job_id)
    execution.stop(Stop.LEASE_LOST, "taken by the test")
    await observed.until(1, "fenced_total")
    await workshop.canceller.cancel(job_id, by="test")
    await workshop.until_ended(job_id)


async def test_the_page_shows_every_metric_and_promtool_finds_nothing(
    workshop: Workshop, observed: Observed
) -> None:
    await workshop.run("moody", "retry")
    with observed.circuits.call("api.example:443") as is_well:
        is_well(False)
    text = await observed.page.text()
    for name in SECTION_10:
        assert f"\n# TYPE jobfleet_{name} ".encode() in text, name
    assert b'jobfleet_circuit_state{target="api.example:443"} 0.0' in text
    assert b'jobfleet_storage_requests_total{operation="trail.insert",result="ok"} 1.0' in text
    assert b"process_resident_memory_bytes" in text
    check_metrics(text)


async def test_a_page_without_names_shows_each_figure_and_no_type_queue_or_host(
    workshop: Workshop, observed: Observed
) -> None:
    await workshop.run("moody", "fail")
    await workshop.run("of.a.stranger")
    await observed.until(2, "jobs_failed_total")
    await observed.until(1, "job_processing_duration_seconds_count", type="moody")
    for target, was_well in (("api.example:443", True), ("down.example:443", False)):
        for _ in range(5):
            with observed.circuits.call(target) as is_well:
                is_well(was_well)
    mine = Counter("shop_secret_orders", "Orders of the shop.", ["customer"])
    try:
        mine.labels("Ann").inc()
        text = await observed.page.text(named=False)
    finally:
        REGISTRY.unregister(mine)
    for name in ("moody", "example", "shop", "Ann", 'queue="', "type="):
        assert name.encode() not in text, name
    for name in SECTION_10:
        assert f"\n# TYPE jobfleet_{name} ".encode() in text, name
    assert b'jobfleet_jobs_failed_total{reason="error"} 1.0' in text
    assert b'jobfleet_jobs_failed_total{reason="no_handler"} 1.0' in text
    assert b"\njobfleet_job_processing_duration_seconds_count " in text
    assert b"\njobfleet_circuit_state 2.0" in text
    assert b"\nprocess_resident_memory_bytes" in text
    check_metrics(text)


async def test_the_page_is_there_while_the_broker_is_away(observed: Observed) -> None:
    class Away:
        async def depths(self) -> None:
            raise BackendUnavailable("no broker")

    circuits = CircuitBreaker(failures=1, open_seconds=1, probe_seconds=1, boottime=lambda: 0.0)
    page = MetricsPage(
        metrics=PrometheusMetrics(),
        queue=Away(),  # type: ignore[arg-type]
        requests=None,
        circuits=circuits,
    )
    text = await page.text()
    assert b"jobfleet_queue_depth{" not in text
    check_metrics(text)


async def test_buckets_are_the_users_choice() -> None:
    metrics = PrometheusMetrics(buckets=Buckets(duration=(0.5, 2)))
    metrics.attempt_ended("any", 1)
    found = metrics.registry.get_sample_value(
        "jobfleet_job_processing_duration_seconds_bucket", {"le": "2.0", "type": OTHER}
    )
    assert found == 1
