"""Serves the application with uvicorn, and ends even while streams are open."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
import uvicorn
from fastapi import FastAPI

from jobfleet_contracts.errors import SettingsError
from jobfleet_dashboard.http_protocol import BoundedHttp

DASHBOARD_LISTENING = "dashboard.listening"
DASHBOARD_STOPPED = "dashboard.stopped"
GRACE_SECONDS = 5
"""How long requests under way may take at shutdown; streams end at once."""
_BACKLOG = 2048

_log = structlog.get_logger()


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    *,
    ready: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until ``stop`` is set by a caller that owns the signals.

    Args:
        port: 0 picks a free one.
        ready: called once with the real port, when requests are answered.

    Raises:
        SettingsError: the address cannot be listened on; names it.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, app=app, ready=ready)
    with listener, _stopped_by(server, stop):
        await server.serve(sockets=[listener])
    _log.info(DASHBOARD_STOPPED)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, *, app: FastAPI, ready: Callable[[int], None] | None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the caller's, see ``serve``: uvicorn would raise them again at the end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            port = sockets[0].getsockname()[1]
            _log.info(DASHBOARD_LISTENING, host=sockets[0].getsockname()[0], port=port)
            if self._ready is not None:
                self._ready(port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before uvicorn waits for connections: open streams would hold it for ever.
        await self._app.state.services.live.stop()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port with --port, "
            "or --port 0 for a free one"
        ) from error
    listener.setblocking(False)
    return listener


@contextmanager
def _stopped_by(server: uvicorn.Server, stop: asyncio.Event | None) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    if stop is not None:
        watcher = loop.create_task(_watch(server, stop), name="server-stop")
        try:
            yield
        finally:
            watcher.cancel()
        return

    def ask() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    signals = (signal.SIGINT, signal.SIGTERM)
    with suppress(NotImplementedError):  # Windows' event loop knows no signal handlers
        for one in signals:
            loop.add_signal_handler(one, ask)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for one in signals:
                loop.remove_signal_handler(one)


async def _watch(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
