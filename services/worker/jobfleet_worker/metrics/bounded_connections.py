"""Connections of the worker's port: one request each, bounded in time and in number."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import structlog
from aiohttp import web

CONNECTION_DROPPED = "connection.dropped"
REQUEST_SECONDS = 10.0
"""From the connection to the end of the request's headers."""
CONNECTION_SECONDS = 30.0
"""From the connection until the client has taken the whole answer."""
MAX_CONNECTIONS = 100
"""All clients together have so many. A probe or a scrape needs one for less than five seconds."""

_log = structlog.get_logger()


class BoundedConnections:
    """Makes the protocol of each connection, for ``loop.create_server``.

    Without bounds any user of the machine takes all file descriptors of the worker with half
    requests; its handlers' calls and its connections to the backend then fail.

    Above ``MAX_CONNECTIONS`` the oldest connection of the address that has most makes room.

    Args:
        server: handles the requests.
    """

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._open: dict[_Connection, None] = {}

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(self._server, self)

    def add(self, connection: _Connection) -> None:
        """Count an open connection, and drop another one if there are too many."""
        self._open[connection] = None
        if len(self._open) <= MAX_CONNECTIONS:
            return
        [(address, _)] = Counter(each.address for each in self._open).most_common(1)
        oldest = next(each for each in self._open if each.address == address)
        self.remove(oldest)
        oldest.drop(f"the port has more than {MAX_CONNECTIONS} connections")

    def remove(self, connection: _Connection) -> None:
        """Count a connection no more; safe to call twice."""
        self._open.pop(connection, None)


class _Connection(web.RequestHandler):
    def __init__(self, server: web.Server, connections: BoundedConnections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as documented for runners
            # aiohttp waits so long for the first request too.
            keepalive_timeout=REQUEST_SECONDS,
        )
        self.address: Any = None
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None
        # aiohttp forgets its own when it closes, and closing may wait for the client.
        self._own_transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request, for a while."""
        super().connection_made(transport)
        # uvloop's transports are no asyncio.Transport: no isinstance here.
        self._own_transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer and peer[0]
        self._deadline = asyncio.get_running_loop().call_later(
            CONNECTION_SECONDS, self.drop, f"it lasted longer than {CONNECTION_SECONDS:g} s"
        )
        self._connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait for nothing more."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def drop(self, reason: str) -> None:
        """End the connection at once, whatever the client has not taken."""
        _log.info(CONNECTION_DROPPED, client=self.address, reason=reason)
        if self._own_transport is not None:
            self._own_transport.abort()


@web.middleware
async def one_request(request: web.Request, handler: Any) -> web.StreamResponse:
    """Close the connection after the answer.

    Else a client that sends requests and takes no answer makes the worker keep all answers.
    """
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        error.force_close()
        raise
    response.force_close()
    return response
