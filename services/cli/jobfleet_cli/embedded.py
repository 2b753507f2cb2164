"""A worker inside a program of your own: beside a web application, or in a test.

::

    async with EmbeddedWorker(handlers=["shop.handlers"]) as worker:
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import load_settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.worker_process import worker_options
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.metrics.metrics_page import MetricsPage
from jobfleet_worker.metrics.prometheus_metrics import Buckets, PrometheusMetrics
from jobfleet_worker.worker import Worker

__all__ = ["Buckets", "EmbeddedWorker"]


class EmbeddedWorker:
    """Runs a worker on the running event loop, from the environment's settings."""

    def __init__(
        self,
        *,
        handlers: Sequence[str | Callable[..., Any]],
        buckets: Buckets | None = None,
        **flags: Any,
    ) -> None:
        """Take what to run.

        Args:
            handlers: names of modules with handlers and hooks, or the marked functions.
            buckets: those of the histograms in :meth:`metrics_text`.
            flags: settings that stand above the environment, as ``concurrency=2``.

        Raises:
            HandlerImportError: a module or one of its handlers cannot be used.
        """
        self._handlers = _loaded(handlers)
        self._metrics = PrometheusMetrics(buckets=buckets)
        self._flags = flags
        self._stack = AsyncExitStack()
        self._page: MetricsPage | None = None

    async def __aenter__(self) -> Self:
        """Open the backend and start the worker; returns when it takes jobs.

        Raises:
            HookFailed: an ``@on_startup`` or a provider of the worker's raised.
            SettingsError: a setting is unknown or has a bad value; the message names it.
        """
        settings = load_settings(**self._flags)
        backend = await open_backend(settings)
        self._stack.push_async_callback(backend.close)
        worker = Worker(
            backend=backend,
            handlers=self._handlers,
            options=worker_options(settings),
            clock=SystemClock(),
            metrics=self._metrics,
        )
        self._page = MetricsPage(
            metrics=self._metrics,
            queue=backend.queue,
            requests=backend.requests,
            circuits=worker.outbound.circuits,
        )
        running = asyncio.create_task(worker.run(), name="embedded worker")
        self._stack.push_async_callback(_drained, worker, running)
        await self._until_started(worker, running)
        return self

    async def __aexit__(self, *_raised: object) -> None:
        """Drain the worker and close the backend."""
        await self._stack.aclose()

    async def metrics_text(self) -> bytes:
        """Return what Prometheus reads of the worker, and of your own metrics.

        Raises:
            RuntimeError: the worker is not started.
        """
        if self._page is None:
            raise RuntimeError("the worker is not started; use it in an `async with` block")
        return await self._page.text()

    async def _until_started(self, worker: Worker, running: asyncio.Task[None]) -> None:
        started = asyncio.create_task(worker.has_started.wait(), name="worker started")
        await asyncio.wait({started, running}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if running.done():
            await self._stack.aclose()  # raises what has ended the worker


async def _drained(worker: Worker, running: asyncio.Task[None]) -> None:
    worker.request_stop()
    await running


def _loaded(handlers: Sequence[str | Callable[..., Any]]) -> Handlers:
    names = [each for each in handlers if isinstance(each, str)]
    functions = [each for each in handlers if not isinstance(each, str)]
    if names and functions:
        raise TypeError("handlers: give names of modules or functions, not both")
    return Handlers.of(*functions) if functions else Handlers.load(names)
