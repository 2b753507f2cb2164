"""Sends messages that must not be lost: persistent, mandatory, confirmed, in bounded time."""

from __future__ import annotations

import asyncio

from aio_pika.abc import AbstractChannel, AbstractExchange

from jobfleet_backends.rabbitmq.aio_pika_patches import MessageIdLocks
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.link import Link
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_backends.rabbitmq.topology import Route
from jobfleet_contracts.errors import BackendUnavailable, Unroutable

SEND_SECONDS = 3.0
MOST_ROUTES = 5000
"""Routes that stay declared. A foreign message that is put off can name any queue."""
_PAUSE_SECONDS = 0.05


class ConfirmedSender:
    """One channel with confirms on the publishing connection, shared by all who send."""

    def __init__(self, *, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._preparing = asyncio.Lock()
        self._exchanges: dict[Route, AbstractExchange] = {}
        self._message_locks = MessageIdLocks()

    async def send(
        self,
        message: Outgoing,
        route: Route,
        *,
        mandatory: bool = True,
        timeout: float = SEND_SECONDS,
    ) -> None:
        """Return when the broker has the message; while it is away, try again until the time-out.

        Raises:
            BackendUnavailable: not confirmed in time; it may be there, perhaps twice.
            BackendForbidden: the broker refuses user, virtual host or permission.
        """
        problems: list[str] = []
        try:
            # Without the lock a message that was returned could count as confirmed, and be lost.
            async with asyncio.timeout(timeout), self._message_locks.of(message.message_id):
                await self._persist(message, route, mandatory, problems)
        except TimeoutError:
            reason = await self._reason(problems)
            raise BackendUnavailable(
                f"RabbitMQ at {self._link.address} did not confirm a message to {route} "
                f"within {timeout:g} s{reason}"
            ) from None

    async def _persist(
        self, message: Outgoing, route: Route, mandatory: bool, problems: list[str]
    ) -> None:
        declared_again = False
        while True:
            try:
                return await self._publish(message, route, mandatory)
            except Unroutable as error:
                if declared_again:
                    raise BackendUnavailable(str(error)) from error
                declared_again = True
                self._exchanges.pop(route, None)
            except BackendUnavailable as error:
                problems[:] = [str(error)]
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _publish(self, message: Outgoing, route: Route, mandatory: bool) -> None:
        exchange = await self._exchange_of(route)
        with translate_errors(self._link.address, f"publish to {route}", permission="write"):
            # Waits here while an alarm blocks the connection, so that nothing piles up in it.
            await self._link.ready()
            try:
                await exchange.publish(message.message(), route.routing_key, mandatory=mandatory)
            except asyncio.CancelledError:
                self._link.suspect()
                raise

    async def _exchange_of(self, route: Route) -> AbstractExchange:
        channel, exchange = self._channel, self._exchanges.get(route)
        if channel is not None and not channel.is_closed and exchange is not None:
            return exchange
        async with self._preparing:
            if self._channel is None or self._channel.is_closed:
                self._exchanges.clear()
                self._channel = await self._link.channel(confirms=True)
            if route not in self._exchanges:
                await self._declare(route)
                exchange = await self._channel.get_exchange(route.exchange, ensure=False)
                while len(self._exchanges) >= MOST_ROUTES:
                    self._exchanges.pop(next(iter(self._exchanges)))
                self._exchanges[route] = exchange
            return self._exchanges[route]

    async def _declare(self, route: Route) -> None:
        permission = "configure, write and read"
        with translate_errors(self._link.address, f"declare {route}", permission=permission):
            await self._link.declare(route)

    async def _reason(self, problems: list[str]) -> str:
        if await self._link.is_blocked():
            return ": a memory or disk alarm blocks all publishers"
        return "".join(f": {problem}" for problem in problems)
