"""Names and declarations of everything that jobfleet keeps at the broker.

Arguments are the few that RabbitMQ 3.10 to 4.x share: unknown ones are accepted silently, and a
later declaration that differs fails.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from jobfleet_contracts.job import LANES
from jobfleet_contracts.message import DELIVERY_LIMIT

NO_LIMIT = 2**31 - 1
"""Deliveries that no message reaches.

RabbitMQ 4 drops a message of a quorum queue at its 21st delivery where the queue states no limit.
Its own word for none, -1, is refused by RabbitMQ 3; this number is taken by 3.10 and by 4.0.
"""
DEAD_QUEUE_IS_OLDER = "rabbitmq.dead_queue_has_no_limit"

_log = structlog.get_logger()

_AT_LEAST_ONCE = {
    "x-queue-type": "quorum",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}

Declare = Callable[[AbstractChannel], Awaitable[None]]


class DeclareAgain(Exception):
    """The broker closed the channel; the same declaration passes on another one."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes, and how to make sure that this place exists."""

    exchange: str
    routing_key: str
    declare: Declare = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.exchange or self.routing_key


@dataclass(frozen=True, slots=True)
class LaneQueue:
    """A work queue, and the way into it."""

    name: str
    route: Route


class Topology:
    """All names under one prefix, and their declarations; declaring twice is harmless."""

    def __init__(self, *, namespace: str) -> None:
        self.jobs = f"{namespace}.jobs"
        self.dead = f"{namespace}.dead"
        self.events = f"{namespace}.events"
        self.control = f"{namespace}.control"
        self._delay = f"{namespace}.delay"
        self._has_older_dead = False

    def lane_queue(self, queue: str, lane: str) -> str:
        """Return the name of one lane's work queue."""
        return f"{self.jobs}.{queue}.{lane}"

    def lanes_of(self, queue: str) -> tuple[LaneQueue, ...]:
        """Return a queue's work queues, high lane first."""
        return tuple(LaneQueue(self.lane_queue(queue, n), self.to_lane(queue, n)) for n in LANES)

    def to_lane(self, queue: str, lane: str) -> Route:
        """Return the way into a work queue."""

        async def declare(channel: AbstractChannel) -> None:
            await self.declare_lanes(channel, queue)

        return Route(self.jobs, f"{queue}.{lane}", declare)

    def to_delay(self, seconds: int, queue: str, lane: str) -> Route:
        """Return the way into a delay, which leads into the work queue afterwards."""

        async def declare(channel: AbstractChannel) -> None:
            await self.declare_lanes(channel, queue)
            await self._declare_delay(channel, seconds)

        return Route(f"{self._delay}.{seconds}", f"{queue}.{lane}", declare)

    def to_dead(self) -> Route:
        """Return the way into the queue of malformed messages, by the default exchange."""
        return Route("", self.dead, self._declare_dead)

    def to_control(self) -> Route:
        """Return the way to every worker."""
        return Route(self.control, "", self.declare_control)

    async def declare_lanes(self, channel: AbstractChannel, queue: str) -> None:
        """Declare a queue's three lanes and what they need."""
        await self._declare_dead(channel)
        await channel.declare_exchange(self.jobs, ExchangeType.DIRECT, durable=True)
        lanes = {lane: await self._declare_lane(channel, queue, lane) for lane in LANES}
        await lanes["normal"].bind(self.jobs, queue)

    async def declare_and_count(self, channel: AbstractChannel, queue: str) -> dict[str, int]:
        """Declare a queue's lanes again and return how many messages are ready in each."""
        declared = [await self._declare_lane(channel, queue, lane) for lane in LANES]
        return {lane.name: lane.declaration_result.message_count or 0 for lane in declared}

    async def declare_control(self, channel: AbstractChannel) -> None:
        """Declare the exchange of cancel requests."""
        await channel.declare_exchange(self.control, ExchangeType.FANOUT, durable=True)

    async def declare_events(self, channel: AbstractChannel) -> None:
        """Declare the exchange of committed events."""
        await channel.declare_exchange(self.events, ExchangeType.TOPIC, durable=True)

    async def _declare_lane(self, channel: AbstractChannel, queue: str, lane: str) -> AbstractQueue:
        name = self.lane_queue(queue, lane)
        arguments: dict[str, str | int] = {
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.dead,
        }
        declared = await _declare_quorum(channel, name, arguments)
        await declared.bind(self.jobs, f"{queue}.{lane}")
        return declared

    async def _declare_delay(self, channel: AbstractChannel, seconds: int) -> None:
        name = f"{self._delay}.{seconds}"
        # No dead-letter routing key: the message's own leads it back into its lane.
        arguments: dict[str, str | int] = {
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": self.jobs,
        }
        await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
        delayed = await _declare_quorum(channel, name, arguments)
        await delayed.bind(name, "")

    async def _declare_dead(self, channel: AbstractChannel) -> None:
        """Declare the queue of malformed messages; one that states no limit is used as it is.

        Raises:
            DeclareAgain: it is there without a limit, or is not there any more.
        """
        try:
            if self._has_older_dead:
                await channel.declare_queue(self.dead, passive=True)
            else:
                await channel.declare_queue(
                    self.dead,
                    durable=True,
                    arguments={"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT},
                )
        except ChannelPreconditionFailed as refusal:
            # Deleting it would lose what it is there to keep, so a policy states the limit.
            self._has_older_dead = True
            _log.warning(DEAD_QUEUE_IS_OLDER, queue=self.dead, remedy=limit_policy(self.dead))
            raise DeclareAgain from refusal
        except ChannelNotFoundEntity as missing:
            self._has_older_dead = False
            raise DeclareAgain from missing


def limit_policy(queue: str) -> str:
    """Return the command that keeps RabbitMQ 4 from dropping messages of an older queue."""
    pattern = re.escape(queue)
    limit = f'{{"delivery-limit": {NO_LIMIT}}}'
    return f"rabbitmqctl set_policy {queue} '^{pattern}$' '{limit}' --apply-to queues"


async def _declare_quorum(
    channel: AbstractChannel, name: str, arguments: Mapping[str, str | int]
) -> AbstractQueue:
    return await channel.declare_queue(
        name, durable=True, arguments={**_AT_LEAST_ONCE, **arguments}
    )
