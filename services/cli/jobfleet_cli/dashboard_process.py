"""Wires the dashboard to the configured backend and serves it until it is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.garbage import set_up_collector
from jobfleet_cli.standard_streams import announce
from jobfleet_cli.stop_signals import StopSignals
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_dashboard.security.bind import check_bind
from jobfleet_dashboard.server import serve

LOCAL = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - no address to bind
"""What a browser on this machine can open of an address that stands for all."""


async def run_dashboard(settings: Settings, options: DashboardOptions, *, child: bool) -> None:
    """Print the address once requests are answered; serve until SIGTERM or Ctrl-C.

    Args:
        child: print nothing, and stop as well when standard input ends.

    Raises:
        SettingsError: the port is in use, or the address may not be bound without keys.
    """
    check_bind(options.host, options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = StopSignals(request=lambda: loop.call_soon_threadsafe(stop.set))
    signals.start()
    if child:
        signals.follow_parent()
    backend = await open_backend(settings)
    try:
        ready = None if child else _say(options)
        app = create_app(backend=backend, clock=SystemClock(), options=options)
        set_up_collector()
        await serve(app, options.host, options.port, ready=ready, stop=stop)
    finally:
        await backend.close()


def _say(options: DashboardOptions) -> Callable[[int], None]:
    host = options.host
    shown = LOCAL.get(host, f"[{host}]" if ":" in host else host)
    where = f" (on every address of this machine: {host})" if host in LOCAL else ""
    return lambda port: announce(f"Dashboard: http://{shown}:{port}{options.root_path}{where}")


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
        callback_targets=settings.callback_targets,
        callback_base_url=settings.callback_base_url,
        root_path=settings.root_path or "",
        trace_url=settings.trace_url,
    )
