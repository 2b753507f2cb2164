"""The metrics of one worker process as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_worker.metrics.port import Metrics

_REASONS = {
    "NoHandler": "no_handler",
    "TimedOut": "timed_out",
    "WorkerLost": "worker_lost",
}
MOST_TYPES = 50
"""Types with a label of their own: each is forty series, and a server keeps all of them."""
OTHER = "other"
_LEASE_OPERATIONS = ("create", "acquire", "renew", "release", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Upper bounds in seconds, rising; ``+Inf`` is added.

    Attributes:
        duration: buckets of ``jobfleet_job_processing_duration_seconds``, up to the time limit.
        delay: buckets of ``jobfleet_job_queue_delay_seconds``.
        margin: buckets of ``jobfleet_lease_renewal_margin_seconds``, up to the length of a lease.
    """

    duration: tuple[float, ...] = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600)
    delay: tuple[float, ...] = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
    margin: tuple[float, ...] = (1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60)


class PrometheusMetrics(Metrics):
    """Counts in a registry of its own, process figures included.

    Attributes:
        registry: what ``/metrics`` shows; collectors may be added.
    """

    def __init__(self, *, buckets: Buckets | None = None) -> None:
        buckets = buckets or Buckets()
        self._types: frozenset[str] = frozenset()
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._registered = counter("jobfleet_jobs_registered_total", "Jobs accepted here.")
        self._completed = counter(
            "jobfleet_jobs_completed_total", "Jobs whose end was written here, by type.", ["type"]
        )
        self._failed = counter(
            "jobfleet_jobs_failed_total",
            "Jobs that ended failed or timedOut here, by reason and type.",
            ["reason", "type"],
        )
        self._duration = histogram(
            "jobfleet_job_processing_duration_seconds",
            "From the claim to the end of an attempt, by type.",
            ["type"],
            buckets=buckets.duration,
        )
        self._delay = histogram(
            "jobfleet_job_queue_delay_seconds",
            "From the time a job was due to the start of its attempt, by type.",
            ["type"],
            buckets=buckets.delay,
        )
        self._leases = counter(
            "jobfleet_lease_operations_total",
            "Lease requests by operation and result.",
            ["operation", "result"],
        )
        self._margin = histogram(
            "jobfleet_lease_renewal_margin_seconds",
            "Trust left in a lease when it was renewed.",
            buckets=buckets.margin,
        )
        self._fenced = counter(
            "jobfleet_fenced_total",
            "Attempts that lost their lease or epoch and wrote nothing more.",
        )
        self._deferrals = counter(
            "jobfleet_deferrals_total", "Jobs put off without using an attempt."
        )
        self._retries = counter(
            "jobfleet_retries_total", "Failed attempts with another to come, by type.", ["type"]
        )
        self._show_zeros()

    def types_known(self, types: Collection[str]) -> None:
        self._types = frozenset(sorted(types)[:MOST_TYPES])
        for each in self._types:
            self._completed.labels(each)
            self._failed.labels("error", each)
            self._duration.labels(each)
            self._delay.labels(each)

    def job_registered(self) -> None:
        self._registered.inc()

    def attempt_started(self, job_type: str, queue_delay_seconds: float) -> None:
        self._delay.labels(self._label(job_type)).observe(queue_delay_seconds)

    def attempt_ended(self, job_type: str, seconds: float) -> None:
        self._duration.labels(self._label(job_type)).observe(seconds)

    def job_moved(self, event: Event) -> None:
        label = self._label(event.facts.job_type)
        match event.kind:
            case Status.COMPLETED:
                self._completed.labels(label).inc()
            case Status.FAILED | Status.TIMED_OUT:
                self._failed.labels(failure_reason(event), label).inc()
            case Status.RETRY_SCHEDULED:
                self._retries.labels(label).inc()
            case Status.DEFERRED:
                self._deferrals.inc()

    def job_deferred(self) -> None:
        self._deferrals.inc()

    def attempt_fenced(self) -> None:
        self._fenced.inc()

    def lease_asked(self, operation: str, result: str) -> None:
        self._leases.labels(operation, result).inc()

    def lease_renewed(self, margin_seconds: float) -> None:
        self._margin.observe(margin_seconds)

    def _label(self, job_type: str) -> str:
        return job_type if job_type in self._types else OTHER

    def _show_zeros(self) -> None:
        """A rate needs a first sample: label values that are known are there from the start."""
        for reason in ("error", *_REASONS.values()):
            self._failed.labels(reason, OTHER)
        for operation in _LEASE_OPERATIONS:
            self._leases.labels(operation, "ok")


def failure_reason(event: Event) -> str:
    """Return why a job failed as a label: few values, whatever handlers raise."""
    if event.kind is Status.TIMED_OUT:
        return "timed_out"
    error = event.data.get("error")
    name = error.get("type") if isinstance(error, dict) else None
    return _REASONS.get(name, "error") if isinstance(name, str) else "error"
