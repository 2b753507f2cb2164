"""Connections that go to checked addresses only."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import Any

from aiohttp import ClientRequest, ClientTimeout, ServerDisconnectedError, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from jobfleet_worker.outbound.bodiless_answer import BodilessAnswer
from jobfleet_worker.outbound.name_lookups import NameLookups
from jobfleet_worker.outbound.target_guard import TargetGuard


class GuardedResolver(AbstractResolver):
    """Resolves a name once for each connection and refuses it if one address is forbidden.

    Attributes:
        seconds: how long the look-up took, up to the moment where the call was cut off.
    """

    def __init__(self, *, guard: TargetGuard, lookups: NameLookups, job_type: str) -> None:
        self.seconds = 0.0
        self._guard = guard
        self._lookups = lookups
        self._job_type = job_type

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            TargetForbidden: one of them may not be called.
            NameNotFound: the name is not known, or no nameserver answers in time.
        """
        began = time.monotonic()
        try:
            found = await self._lookups.find(self._job_type, host, port, family)
        finally:
            self.seconds = time.monotonic() - began
        for each in found:
            self._guard.check_address(each["host"])
        return found

    async def close(self) -> None:
        """Leave the look-ups alone: all calls share them."""


class GuardedConnector(TCPConnector):
    """Makes one connection, for one call, and only to an address that the guard allows.

    The resolver pins a name's addresses. Literals bypass a resolver, so the place where the
    socket is made, which sees the very address that is connected to, checks once more.
    """

    def __init__(self, *, guard: TargetGuard, resolver: GuardedResolver) -> None:
        def open_socket(info: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol, _, address = info
            guard.check_address(address[0])
            opened = socket.socket(family, kind, protocol)
            opened.setblocking(False)
            return opened

        super().__init__(
            resolver=resolver,
            socket_factory=open_socket,
            use_dns_cache=False,
            force_close=True,
        )
        self._factory = partial(BodilessAnswer, loop=self._loop)  # type: ignore[assignment]
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
