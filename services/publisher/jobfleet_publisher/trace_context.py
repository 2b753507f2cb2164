"""The trace in which a job is submitted, for the job to go on in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def traced(context: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a job's context with the current OpenTelemetry span's ``traceparent``.

    Unchanged if it names one already, or if no span is current.
    """
    if context is not None and "traceparent" in context:
        return context
    return {**(context or {}), **_current()} or context


def _current() -> dict[str, str]:
    """A program that has not imported OpenTelemetry has no span, and need not wait for it."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier
