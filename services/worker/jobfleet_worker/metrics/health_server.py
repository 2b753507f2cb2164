"""The worker's own HTTP port: ``/livez``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendError, SettingsError
from jobfleet_contracts.own_host import is_loopback, is_own_host
from jobfleet_worker.metrics.bounded_connections import BoundedConnections, one_request

HEALTH_SERVED = "health.served"
PROBE_SECONDS = 3.5
"""Below the 5 s that probes of containers usually allow for the whole answer."""

_log = structlog.get_logger()


class MetricsText(Protocol):
    """Makes the Prometheus text; without ``named`` it holds no name of the fleet."""

    def __call__(self, *, named: bool) -> Awaitable[bytes]:
        """Return the text."""


class HealthServer:
    """Answers on the worker's event loop: a loop that is blocked is not alive.

    Every user of the machine reaches a port on loopback. So a caller who may not see names learns
    whether the worker lives, which parts of the backend answer, and figures without names.

    Attributes:
        port: where it listens, once started.
        paths: what it serves.

    Args:
        port: 0 picks a free one.
        probe: asks each server of the backend.
        metrics: makes the Prometheus text.
        may_see_names: whether the caller with this key, or with none, may see addresses of servers,
            types, queues and hosts.
    """

    paths = ("/livez", "/readyz", "/metrics")

    def __init__(
        self,
        *,
        host: str,
        port: int,
        probe: Callable[[], Awaitable[Sequence[Probe]]],
        metrics: MetricsText,
        may_see_names: Callable[[str | None], bool],
    ) -> None:
        self.port = port
        self._host = host
        self._probe = probe
        self._metrics = metrics
        self._may_see_names = may_see_names
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: the port is in use or may not be bound.
        """
        own_host = [_own_host] if is_loopback(self._host) else []
        app = web.Application(middlewares=[one_request, *own_host])
        handlers = (self._livez, self._readyz, self._show_metrics)
        app.add_routes([web.get(*each) for each in zip(self.paths, handlers, strict=True)])
        # The handler must end with its connection: dropped connections are not counted any more.
        self._runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
        await self._runner.setup()
        assert self._runner.server is not None
        connections = BoundedConnections(self._runner.server)
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                connections, self._host, self.port
            )
        except OSError as error:
            await self.stop()
            raise SettingsError(
                f"JOBFLEET_METRICS_PORT: {self._host}:{self.port} cannot be bound "
                f"({error.strerror}); 0 picks a free port"
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]
        _log.info(HEALTH_SERVED, host=self._host, port=self.port)

    async def stop(self) -> None:
        """Close the port; safe to call twice."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, request: web.Request) -> web.Response:
        probes = await self._ask()
        ready = all(probe.ok for probe in probes)
        named = self._may_see_names(_key(request))
        document = {
            "status": "ready" if ready else "not ready",
            "checks": [_check(probe, named=named) for probe in probes],
        }
        return web.json_response(document, status=200 if ready else 503)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        key = _key(request)
        named = self._may_see_names(key)
        if key is not None and not named:
            raise web.HTTPUnauthorized(
                text="the key that was sent is not known here; JOBFLEET_API_KEYS of this worker "
                "holds those that are. Without a key you get figures without names"
            )
        text = await self._metrics(named=named)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _ask(self) -> Sequence[Probe]:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._probe()
        except TimeoutError:
            return [Probe("backend", "", ok=False, detail=f"no answer in {PROBE_SECONDS:g} s")]
        except BackendError as error:
            return [Probe("backend", "", ok=False, detail=str(error))]


@web.middleware
async def _own_host(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse a stranger's name that was made to point at this machine (DNS rebinding)."""
    if not is_own_host(request.host):
        raise web.HTTPForbidden(text="the Host is not this machine's; ask localhost or 127.0.0.1")
    return await handler(request)


def _key(request: web.Request) -> str | None:
    """Return the key, sent in one of the two ways that the dashboard takes."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else None
    return request.headers.get("X-API-Key", bearer)


def _check(probe: Probe, *, named: bool) -> dict[str, Any]:
    check = {"part": probe.part, "ok": probe.ok}
    if not named:
        return check
    return {**check, "address": probe.address, "detail": probe.detail, "remedy": probe.remedy}
