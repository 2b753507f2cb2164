"""Traces: W3C ``traceparent`` in, one OpenTelemetry span per attempt, ``traceparent`` out.

Without an OpenTelemetry SDK the spans are empty and only the ids travel. A job whose submitter
gave no ``traceparent`` has a trace of its own, whose id is the job id without hyphens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import Status

_TRACER = trace.get_tracer("jobfleet")
_W3C = TraceContextTextMapPropagator()
_HEADERS = ("traceparent", "tracestate")
_HALF = (1 << 64) - 1
_FAILURES = frozenset({Status.FAILED, Status.TIMED_OUT, Status.RETRY_SCHEDULED})


class AttemptSpan:
    """The span of one attempt, current while it runs."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, event: Event | None) -> None:
        """Note how the attempt ended; ``None``: fenced, another writer records the outcome."""
        if not self._span.is_recording():
            return
        outcome = "fenced" if event is None else event.after.state.value
        self._span.set_attribute("jobfleet.outcome", outcome)
        if event is None or event.kind in _FAILURES:
            description = outcome if event is None else event.message
            self._span.set_status(StatusCode.ERROR, masked_text(description)[:200])


@contextmanager
def attempt_span(request: JobRequest, started: Event) -> Iterator[AttemptSpan]:
    """Open the span of an attempt, and bind its ids to log lines.

    Each line then names job, type, attempt, trace and request. The span ends with the context.
    """
    span = _TRACER.start_span(
        f"job {request.type}",
        context=_parent(request),
        kind=trace.SpanKind.CONSUMER,
        attributes={
            "jobfleet.job.id": request.job_id,
            "jobfleet.job.type": request.type,
            "jobfleet.queue": request.queue,
            "jobfleet.attempt": started.after.attempt,
        },
    )
    ids = correlation(request, span.get_span_context())
    ids |= {"type": request.type, "attempt": started.after.attempt}
    # Never unbound: the task of a delivery has a context of its own, which ends with it.
    structlog.contextvars.bind_contextvars(**ids)
    with trace.use_span(span, end_on_exit=True):
        yield AttemptSpan(span)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a job in another process takes over: the attempt's span and the ids of log lines."""

    traceparent: str
    ids: Mapping[str, str | int]

    @classmethod
    def here(cls, request: JobRequest) -> Origin:
        """Return the origin of the current attempt."""
        bound = structlog.contextvars.get_contextvars()
        return cls(
            traceparent(request), {k: v for k, v in bound.items() if isinstance(v, str | int)}
        )

    def adopt(self) -> None:
        """Make this origin current: later spans and log lines of this context belong to it."""
        attach(_W3C.extract({"traceparent": self.traceparent}, Context()))
        structlog.contextvars.bind_contextvars(**self.ids)


def correlation(request: JobRequest, span: SpanContext) -> dict[str, str | int]:
    """Return what each log line of a job carries."""
    ids: dict[str, str | int] = {
        "job_id": request.job_id,
        "trace_id": trace.format_trace_id(span.trace_id),
    }
    request_id = (request.context or {}).get("requestId")
    if isinstance(request_id, str):
        ids["request_id"] = request_id
    return ids


def traceparent(request: JobRequest) -> str:
    """Return the header with which the job's own calls continue its trace.

    Inside an attempt it names the current span, which a handler may have opened itself.
    """
    current = trace.get_current_span()
    inside = current.get_span_context().is_valid
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(current) if inside else _parent(request))
    return carrier["traceparent"]


def _parent(request: JobRequest) -> Context:
    context = request.context or {}
    if "traceparent" in context:
        headers = {k: context[k] for k in _HEADERS if isinstance(context.get(k), str)}
        found = _W3C.extract(headers, Context())
        if trace.get_current_span(found).get_span_context().is_valid:
            return found
    number = int(request.job_id.replace("-", ""), 16)
    own = SpanContext(
        trace_id=number or 1,
        span_id=number & _HALF or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(NonRecordingSpan(own), Context())
