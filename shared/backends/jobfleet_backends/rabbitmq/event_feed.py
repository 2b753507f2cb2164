"""Committed events for live views elsewhere; best effort."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractExchange

from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_contracts.codec import encode, format_time
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.event import Event

BUFFERED_EVENTS = 10_000
"""Beyond this many unsent events the oldest are dropped."""
SEND_SECONDS = 3.0
FLUSH_SECONDS = 1.0


class RabbitEventFeed:
    """Publishes from a bounded buffer in a task of its own; while the broker is away it drops."""

    def __init__(self, *, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq
        self._buffer: deque[Event] = deque(maxlen=BUFFERED_EVENTS)
        self._sending: asyncio.Task[None] | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None

    def announce(self, events: Sequence[Event]) -> None:
        """Publish without waiting, from any thread; raises nothing."""
        self._buffer.extend(events)
        home = self._rabbitmq.home
        if not home.is_closed():
            home.call_soon_threadsafe(self._start_sending)

    async def close(self) -> None:
        """Give what is buffered a second to leave."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=FLUSH_SECONDS)
            self._sending.cancel()

    def _start_sending(self) -> None:
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all(), name="rabbitmq-event-feed")

    async def _send_all(self) -> None:
        try:
            while self._buffer:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(self._buffer.popleft())
        except (BackendError, TimeoutError):
            self._buffer.clear()

    async def _send(self, event: Event) -> None:
        link = self._rabbitmq.publishing
        message = Outgoing(
            body=encode(event.to_json()),
            headers=_cloud_event(event, source=self._rabbitmq.topology.jobs),
            message_id=event.event_id,
            persistent=False,
        )
        exchange = await self._ready_exchange()
        with translate_errors(link.address, "publish an event", permission="write"):
            await link.ready()
            await exchange.publish(message.message(), routing_key(event), mandatory=False)

    async def _ready_exchange(self) -> AbstractExchange:
        if self._exchange is None or self._channel is None or self._channel.is_closed:
            link, topology = self._rabbitmq.publishing, self._rabbitmq.topology
            self._channel, self._exchange = await link.channel(), None
            with translate_errors(
                link.address, "declare the event exchange", permission="configure"
            ):
                await topology.declare_events(self._channel)
            self._exchange = await self._channel.get_exchange(topology.events, ensure=False)
        return self._exchange


def routing_key(event: Event) -> str:
    """Return ``<queue>.<event>``, as ``default.retryScheduled``; every ``Step N`` is ``step``."""
    name = event.kind.value
    return f"{event.facts.queue}.{name[0].lower()}{name[1:]}"


def _cloud_event(event: Event, *, source: str) -> dict[str, Any]:
    """CloudEvents 1.0 attributes, named as its AMQP binding names them."""
    return {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": event.event_id,
        "cloudEvents:source": f"/{source}/{event.facts.queue}",
        "cloudEvents:type": f"jobfleet.job.{event.kind.value}",
        "cloudEvents:subject": event.job_id,
        "cloudEvents:time": format_time(event.occurred_at),
    }
