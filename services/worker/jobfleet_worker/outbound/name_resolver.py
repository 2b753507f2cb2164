"""Finds the addresses of names without holding a thread for each of them.

The system's ``getaddrinfo`` blocks a thread until a silent nameserver is given up, and the threads
of a process are few. c-ares needs one thread for any number of questions.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

import pycares
from aiohttp.abc import AbstractResolver, ResolveResult

_QUESTION_SECONDS = 1.0
_QUESTIONS = 2
"""To each nameserver; the second one waits twice as long."""

_Answer = asyncio.Future[pycares.AddrInfoResult]


class NameResolver(AbstractResolver):
    """Asks the nameservers of ``/etc/resolv.conf``, and ``/etc/hosts`` before them.

    Args:
        servers: nameservers as ``address:port``; the system's if none are given.
    """

    def __init__(self, *, servers: Sequence[str] | None = None) -> None:
        self._servers = servers
        self._channel: pycares.Channel | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: the name is not known, or no nameserver answers within some seconds.
        """
        loop = asyncio.get_running_loop()
        answer: _Answer = loop.create_future()
        self._open().getaddrinfo(
            host,
            port,
            family=family,
            type=socket.SOCK_STREAM,
            callback=partial(_hand_over, loop, answer),
        )
        found = await answer
        return [_result(host, port, node) for node in found.nodes]

    async def close(self) -> None:
        """Give up the questions that have no answer yet."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _open(self) -> pycares.Channel:
        if self._channel is None:
            self._channel = pycares.Channel(
                timeout=_QUESTION_SECONDS, tries=_QUESTIONS, servers=self._servers
            )
        return self._channel


def _hand_over(
    loop: asyncio.AbstractEventLoop,
    answer: _Answer,
    found: pycares.AddrInfoResult | None,
    error: int | None,
) -> None:
    """Runs in the thread of c-ares; the loop may have ended meanwhile."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_settle, answer, found, error)


def _settle(answer: _Answer, found: pycares.AddrInfoResult | None, error: int | None) -> None:
    if answer.done():
        return
    if error is not None or found is None or not found.nodes:
        text = "no address" if error is None else pycares.errno.strerror(error)
        answer.set_exception(OSError(None, text))
    else:
        answer.set_result(found)


def _result(host: str, port: int, node: Any) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=node.addr[0].decode("ascii"),
        port=port,
        family=node.family,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
