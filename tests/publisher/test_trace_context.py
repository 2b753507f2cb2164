"""A job submitted inside a span goes on in its trace."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from jobfleet_contracts.backend import Backend
from jobfleet_publisher import Publisher
from jobfleet_publisher.trace_context import traced

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_current_span_is_the_jobs_parent(publisher: Publisher, backend: Backend) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("order") as span:
        job = await publisher.submit("echo")
    event = await backend.trail.read(job.job_id, 1)
    assert event is not None
    parent = event.data["request"]["context"]["traceparent"]
    assert parent.split("-")[1] == trace.format_trace_id(span.get_span_context().trace_id)


async def test_without_a_span_nothing_is_added(publisher: Publisher, backend: Backend) -> None:
    job = await publisher.submit("echo")
    event = await backend.trail.read(job.job_id, 1)
    assert event is not None
    assert "context" not in event.data["request"]


def test_a_trace_that_the_submitter_names_stands() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("order"):
        assert traced({"traceparent": TRACE}) == {"traceparent": TRACE}
