"""Wires one worker to the configured backend and runs it until it is asked to stop."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib.metadata import version

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.garbage import set_up_collector
from jobfleet_cli.health import health_served, metrics_of
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.stop_signals import StopSignals
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions, available_cores
from jobfleet_worker.outbound.options import OutboundOptions
from jobfleet_worker.worker import Worker


async def run_worker(settings: Settings, handlers: Handlers, *, stop_with_parent: bool) -> float:
    """Run until SIGTERM, Ctrl-C or, with ``stop_with_parent``, the end of standard input.

    Returns:
        the seconds that are left of the drain time.
    """
    options = worker_options(settings)
    backend = await open_backend(settings)
    try:
        metrics = metrics_of(settings)
        worker = Worker(
            backend=backend,
            handlers=handlers,
            options=options,
            clock=SystemClock(),
            metrics=metrics,
        )
        signals = StopSignals(request=worker.request_stop)
        signals.start()
        if stop_with_parent:
            signals.follow_parent()
        keeping = asyncio.create_task(signals.keep(), name="stop-signals")
        set_up_collector()
        served = health_served(
            settings,
            probe=backend.probe,
            queue=backend.queue,
            requests=backend.requests,
            worker=worker,
            metrics=metrics,
        )
        async with served:
            await worker.run()
        keeping.cancel()
        return worker.drain_seconds_left
    finally:
        await backend.close()


def worker_options(settings: Settings) -> WorkerOptions:
    """Return the worker's part of the settings."""
    return WorkerOptions(
        defaults=settings.job_defaults,
        concurrency=settings.concurrency,
        processes=settings.processes or available_cores(),
        max_jobs_per_process=settings.max_jobs_per_process,
        max_mib_per_process=settings.max_memory_per_process,
        queues=settings.queues,
        lock_scope=settings.lock_scope,
        lease_seconds=settings.lease_seconds,
        renew_seconds=settings.lease_renew_seconds,
        rescue_seconds=settings.rescue_seconds,
        defer_seconds=settings.defer_seconds,
        drain_seconds=settings.drain_seconds,
        no_handler_seconds=settings.no_handler_seconds,
        retention_days=settings.retention_days,
        job_logs=settings.job_logs,
        max_jobs=settings.max_jobs,
        max_memory_mb=settings.max_memory,
        outbound=outbound_options(settings),
        set_up_process=partial(configure_logging, settings),
        version=version("jobfleet"),
    )


def outbound_options(settings: Settings) -> OutboundOptions:
    """Return what the settings say of calls to other people's servers."""
    return OutboundOptions(
        allowed_hosts=settings.allowed_hosts,
        allow_private_targets=settings.allow_private_targets,
        allowed_headers=settings.allowed_headers,
        blocked_headers=settings.blocked_headers,
        http_timeout_seconds=settings.http_timeout_seconds,
        breaker_failures=settings.breaker_failures,
        breaker_open_seconds=settings.breaker_open_seconds,
        callback_base_url=settings.callback_base_url,
        callback_secrets=tuple(each.get_secret_value() for each in settings.callback_secrets),
        callback_targets=settings.callback_targets,
        secrets=settings.secrets,
        secret_hosts=settings.secret_hosts,
        allow_secrets_over_http=settings.allow_secrets_over_http,
    )
