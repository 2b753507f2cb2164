"""Where spans go: to an OpenTelemetry collector, if one is named and the SDK is installed."""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec

import structlog

TRACES_EXPORTED = "traces.exported"
SDK_MISSING = "traces.sdk_missing"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_log = structlog.get_logger()


def export_traces(service: str) -> None:
    """Send this process's spans to the collector that OpenTelemetry's own variables name.

    Sampler, headers and resource come from its variables too; nothing is set up twice where
    ``opentelemetry-instrument`` runs the command.
    """
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    if endpoint is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        _log.warning(SDK_MISSING, remedy="pip install 'jobfleet[otel]'")
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    named = {"service.name": service} if "OTEL_SERVICE_NAME" not in os.environ else {}
    resource = Resource.create(named | {"service.version": version("jobfleet")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _log.info(TRACES_EXPORTED, service=service)
