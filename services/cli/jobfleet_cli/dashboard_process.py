"""Wires the dashboard to the configured backend and serves it until it is asked to stop."""

from __future__ import annotations

from importlib.metadata import version

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_dashboard.server import serve


async def run_dashboard(
    settings: Settings, *, host: str, port: int, stop_with_parent: bool
) -> None:
    """Serve until SIGTERM, Ctrl-C or, with ``stop_with_parent``, the end of standard input.

    Raises:
        SettingsError: the port is in use, or the address may not be bound without keys.
    """
    backend = await open_backend(settings)
    try:
        options = dashboard_options(settings, host=host, port=port)
        await serve(backend=backend, clock=SystemClock(), options=options)
    finally:
        await backend.close()


def dashboard_options(settings: Settings, *, host: str, port: int) -> DashboardOptions:
    """Return the dashboard's part of the settings."""
    secret = settings.session_secret
    return DashboardOptions(
        defaults=settings.job_defaults,
        version=version("jobfleet"),
        host=host,
        port=port,
        api_keys=settings.api_keys,
        session_secret=secret.get_secret_value() if secret else None,
        trust_network=settings.trust_network,
        rate_limit=settings.rate_limit,
        max_queue_size=settings.max_queue_size,
        callback_secrets=tuple(s.get_secret_value() for s in settings.callback_secrets),
        callback_base_url=settings.callback_base_url,
    )
