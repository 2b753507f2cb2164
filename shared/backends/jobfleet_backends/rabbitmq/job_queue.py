"""The way into the work queues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from jobfleet_backends.rabbitmq.back_off import BackOff
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.errors import translate_errors
from jobfleet_backends.rabbitmq.message_codec import encode_message
from jobfleet_backends.rabbitmq.topology import Route
from jobfleet_contracts.delay_steps import delay_step
from jobfleet_contracts.errors import Unroutable
from jobfleet_contracts.index import QueueDepth
from jobfleet_contracts.job import LANES, lane_of
from jobfleet_contracts.message import JobMessage

MOST_QUEUES = 1000
"""Names of queues that are kept. A foreign message that is put off can name any queue."""


class RabbitJobQueue:
    """Publishes job messages, confirmed; declares what the broker does not know yet.

    Args:
        queues: those whose depths are asked for before this process has published there.
    """

    def __init__(self, *, rabbitmq: RabbitMQ, queues: Sequence[str] = ()) -> None:
        self._rabbitmq = rabbitmq
        self._given = frozenset(queues)
        self._known = dict.fromkeys(queues)
        self._undeclared: dict[str, BackOff] = {}

    async def publish(self, message: JobMessage, *, timeout: float = 3.0) -> None:
        """Put a message into its lane; returns when the broker has confirmed it."""
        queue, lane = _place(message)
        await self._send(message, self._rabbitmq.topology.to_lane(queue, lane), timeout)

    async def publish_later(self, message: JobMessage, delay: timedelta) -> None:
        """Put a message into the largest delay that fits; ``due_at`` travels with it."""
        queue, lane = _place(message)
        step = delay_step(delay)
        await self._send(message, self._rabbitmq.topology.to_delay(step, queue, lane), 3.0)

    async def depths(self) -> Sequence[QueueDepth]:
        """Return the messages ready in each lane of each queue seen here; 0 if undeclared.

        A queue that another process has declared is seen within a minute.
        """
        return await self._rabbitmq.at_home(self._depths())

    async def _send(self, message: JobMessage, route: Route, timeout: float) -> None:
        self._know(message.request.queue)
        await self._rabbitmq.at_home(self._send_signed(message, route, timeout))

    def _know(self, queue: str) -> None:
        """Remember a queue; of too many, forget the one that was used first after those given."""
        self._undeclared.pop(queue, None)
        if queue not in self._known and len(self._known) >= MOST_QUEUES:
            oldest = next((each for each in self._known if each not in self._given), queue)
            self._known.pop(oldest, None)
            self._undeclared.pop(oldest, None)
        self._known[queue] = None

    async def _send_signed(self, message: JobMessage, route: Route, timeout: float) -> None:
        key = await self._rabbitmq.message_key.find()
        await self._rabbitmq.sender.send(encode_message(message, key=key), route, timeout=timeout)

    async def _depths(self) -> list[QueueDepth]:
        # On the consuming connection: an alarm blocks the publishing one.
        return [depth for queue in tuple(self._known) for depth in await self._depths_of(queue)]

    async def _depths_of(self, queue: str) -> list[QueueDepth]:
        undeclared = self._undeclared.setdefault(queue, BackOff(first=1.0, longest=60.0))
        if not undeclared.remaining:
            try:
                ready = [QueueDepth(queue, lane, await self._ready(queue, lane)) for lane in LANES]
                undeclared.succeeded()
                return ready
            except Unroutable:
                undeclared.failed()
        return [QueueDepth(queue, lane, 0) for lane in LANES]

    async def _ready(self, queue: str, lane: str) -> int:
        link = self._rabbitmq.consuming
        name = self._rabbitmq.topology.lane_queue(queue, lane)
        with translate_errors(link.address, f"look at {name}", permission="configure"):
            async with link.borrowed_channel() as channel:
                declared = await channel.declare_queue(name, passive=True, timeout=5)
        return declared.declaration_result.message_count or 0


def _place(message: JobMessage) -> tuple[str, str]:
    return message.request.queue, lane_of(message.request.priority)
