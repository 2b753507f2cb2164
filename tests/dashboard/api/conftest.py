"""Dashboards with other settings."""

from __future__ import annotations

from typing import Any

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobDefaults
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions
from tests.dashboard.api.asgi_client import AsgiClient

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=2, retry_max_seconds=300, timeout_seconds=1800
)


def options_with(**changes: Any) -> DashboardOptions:
    """Options for tests."""
    given: dict[str, Any] = {"defaults": DEFAULTS, "version": "1.2.3", **changes}
    return DashboardOptions(**given)


def client_of(backend: Backend, **changes: Any) -> AsgiClient:
    """A client of a dashboard with these options."""
    app = create_app(backend=backend, clock=SystemClock(), options=options_with(**changes))
    return AsgiClient(app)
