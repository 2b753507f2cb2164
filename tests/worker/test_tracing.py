"""The trace of a request goes on in handler, log lines, spans and outgoing calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from jobfleet_contracts.job import JobRequest
from jobfleet_worker import BlockingJobContext, JobContext, Retry, handler, tracing
from jobfleet_worker.builtin.passed_on import passed_on
from jobfleet_worker.testing import run_handler
from tests.worker import process_handlers
from tests.worker.workshop import Workshop

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"
CONTEXT = {"traceparent": TRACE, "requestId": "req-9"}


@handler("traced")
async def traced(context: JobContext) -> dict[str, Any]:
    structlog.get_logger().info("handler.spoke")
    if context.attempt == 1:
        raise Retry("once more", after=0.01)
    return {"traceparent": context.traceparent, "bound": structlog.contextvars.get_contextvars()}


@handler("traced.thread")
def traced_in_a_thread(context: BlockingJobContext) -> dict[str, Any]:
    return {"traceparent": context.traceparent, "bound": structlog.contextvars.get_contextvars()}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """An SDK for this test only; the process keeps none."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("jobfleet"))
    yield exporter
    provider.shutdown()


async def test_without_an_sdk_the_ids_travel(workshop: Workshop) -> None:
    workshop.start_worker(traced, traced_in_a_thread, process_handlers.traced)
    for job_type in ("traced", "traced.thread", "process.traced"):
        event = await workshop.run(job_type, context=CONTEXT)
        result = event.data["result"]
        assert result["traceparent"] == TRACE
        assert result["bound"]["trace_id"] == TRACE_ID
        assert result["bound"]["request_id"] == "req-9"
        assert result["bound"]["job_id"] == event.job_id


async def test_log_lines_of_worker_and_handler_carry_the_ids(workshop: Workshop) -> None:
    merge = structlog.contextvars.merge_contextvars
    with capture_logs(processors=[merge]) as lines:
        workshop.start_worker(traced)
        event = await workshop.run("traced", context=CONTEXT)
    for name in ("job.started", "handler.spoke", "job.ended"):
        line = next(line for line in lines if line["event"] == name)
        assert (line["trace_id"], line["job_id"]) == (TRACE_ID, event.job_id)


async def test_a_job_without_a_trace_has_one_named_after_it(workshop: Workshop) -> None:
    workshop.start_worker(traced)
    event = await workshop.run("traced")
    assert event.data["result"]["traceparent"].split("-")[1] == UUID(event.job_id).hex


async def test_each_attempt_is_a_span_with_its_outcome(
    workshop: Workshop, spans: InMemorySpanExporter
) -> None:
    workshop.start_worker(traced)
    event = await workshop.run("traced", context=CONTEXT)
    await workshop.close()
    first, second = spans.get_finished_spans()
    assert [_attribute(first, "outcome"), _attribute(second, "outcome")] == [
        "retrying",
        "completed",
    ]
    assert [_attribute(first, "attempt"), _attribute(second, "attempt")] == [1, 2]
    assert _attribute(first, "job.id") == event.job_id
    assert (first.status.is_ok, second.status.is_ok) == (False, True)
    assert second.parent is not None
    assert f"{second.parent.span_id:016x}" == TRACE.split("-")[2]


async def test_outgoing_calls_continue_the_attempts_span(
    workshop: Workshop, spans: InMemorySpanExporter
) -> None:
    workshop.start_worker(traced)
    event = await workshop.run("traced", context=CONTEXT)
    await workshop.close()
    span = spans.get_finished_spans()[-1]
    assert span.context is not None
    sent = event.data["result"]["traceparent"]
    assert sent == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"


async def test_the_headers_of_a_call_name_trace_key_and_fence() -> None:
    async def headers(context: JobContext) -> dict[str, str]:
        return passed_on(context)

    run = await run_handler(headers, request=CONTEXT, epoch=4)
    assert run.result["traceparent"] == TRACE
    assert run.result["X-Fencing-Token"] == "4"


@pytest.mark.parametrize(
    "given", ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", 7, TRACE + "-x", None]
)
def test_a_trace_that_cannot_be_read_is_replaced(given: Any) -> None:
    request = JobRequest(type="a", context={"traceparent": given})
    assert tracing.traceparent(request).split("-")[1] == UUID(request.job_id).hex


def test_a_job_id_of_zeros_has_a_valid_trace() -> None:
    request = JobRequest(type="a", job_id=str(UUID(int=0)))
    assert tracing.traceparent(request) == f"00-{'0' * 31}1-{'0' * 15}1-01"


def _attribute(span: ReadableSpan, name: str) -> Any:
    assert span.attributes is not None
    return span.attributes[f"jobfleet.{name}"]
