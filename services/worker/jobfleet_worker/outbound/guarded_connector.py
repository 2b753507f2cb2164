"""Connections that go to checked addresses only."""

from __future__ import annotations

import socket
from typing import Any

from aiohttp import (
    ClientRequest,
    ClientTimeout,
    ServerDisconnectedError,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from jobfleet_worker.outbound.target_guard import TargetGuard


class GuardedResolver(AbstractResolver):
    """Resolves a name once for each connection and refuses it if one address is forbidden."""

    def __init__(self, *, guard: TargetGuard, source: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._source = source or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            TargetForbidden: one of them may not be called.
            OSError: the name is not known.
        """
        found = await self._source.resolve(host, port, family)
        for each in found:
            self._guard.check_address(each["host"])
        return found

    async def close(self) -> None:
        """Close the resolver behind this one."""
        await self._source.close()


class GuardedConnector(TCPConnector):
    """Makes one connection, for one call, and only to an address that the guard allows.

    The resolver pins a name's addresses. Literals bypass a resolver, so the place where the
    socket is made, which sees the very address that is connected to, checks once more.
    """

    def __init__(self, *, guard: TargetGuard, source: AbstractResolver | None = None) -> None:
        def open_socket(info: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol, _, address = info
            guard.check_address(address[0])
            opened = socket.socket(family, kind, protocol)
            opened.setblocking(False)
            return opened

        super().__init__(
            resolver=GuardedResolver(guard=guard, source=source),
            socket_factory=open_socket,
            use_dns_cache=False,
            force_close=True,
        )
        self._is_used = False

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> Connection:
        """Connect once: the session repeats a GET by itself where the target hangs up.

        Raises:
            ServerDisconnectedError: this would be a second call for one attempt.
        """
        if self._is_used:
            raise ServerDisconnectedError("the target hung up without an answer")
        self._is_used = True
        return await super().connect(req, traces, timeout)
