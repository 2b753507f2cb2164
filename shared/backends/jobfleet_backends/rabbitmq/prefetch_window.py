"""A prefetch window: consuming with a fixed prefetch, and the acknowledgements held back in it.

Whatever is unacknowledged counts against the prefetch. The acknowledgements of jobs that fill slots
are held back. So the broker sends no more messages than there are free slots, and no consumer has
to be cancelled and opened between two short jobs. They are held back for a second at most. Then
they are sent, and the next period opens with as many as there are free slots. As jobs of the period
before end, more slots are free than that: further consumers bring the difference.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from aio_pika.abc import AbstractIncomingMessage

from jobfleet_backends.rabbitmq.errors import problems_of
from jobfleet_backends.rabbitmq.lane_channel import LaneChannel
from jobfleet_backends.rabbitmq.topology import LaneQueue
from jobfleet_contracts.errors import BackendUnavailable

HOLD_SECONDS = 1.0
PATIENCE_SECONDS = 0.025
"""A full lane that was just allowed to bring more has this long before a lower one has its turn."""


@dataclass(slots=True)
class _Lane:
    """What came of a lane, and when the broker, having had to hold back, could send more of it."""

    asked_at: float
    unacknowledged: int = 0
    waiting: deque[Delivery] = field(default_factory=deque)


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message that came, and where from."""

    received: AbstractIncomingMessage
    channel: LaneChannel
    lane: _Lane


class PrefetchWindow:
    """Consumers on all lanes, what they brought, and what of it is unacknowledged.

    Args:
        lanes: work queues in the order in which to take from them; those of one lane are equals.
        prefetch: per work queue; the number of free slots.
        arrived: set whenever something came or broke.

    Attributes:
        is_outdated: it has to end, since more queues can be consumed, or fewer.
    """

    def __init__(
        self, *, lanes: Sequence[Sequence[LaneChannel]], prefetch: int, arrived: asyncio.Event
    ) -> None:
        self.is_broken = False
        self.is_outdated = False
        self._channels = lanes
        self._prefetch = prefetch
        self._arrived = arrived
        self._now = asyncio.get_running_loop().time
        self._lanes = tuple(_Lane(self._now()) for _ in lanes)
        self._handed: set[Delivery] = set()
        self._held: deque[tuple[Delivery, float]] = deque()
        self._ended = False
        self._quiet_since = self._silent_since = self._now()

    async def start(self) -> dict[LaneQueue, BackendUnavailable]:
        """Open the consumers; returns what went wrong with which queue."""
        return await self._consume_all(self._prefetch)

    def is_too_narrow(self, free_slots: int) -> bool:
        """Whether less than half of the free slots can be filled."""
        return 2 * self._most < free_slots and not any(lane.waiting for lane in self._lanes)

    async def widen(self, free_slots: int) -> None:
        """Bring as many as slots are free; a queue that does not answer ends the period."""
        more = free_slots - self._most
        self._prefetch += more
        if await self._consume_all(more):
            self._on_broken()

    async def _consume_all(self, prefetch: int) -> dict[LaneQueue, BackendUnavailable]:
        lanes = zip(self._channels, self._lanes, strict=True)
        opening = {
            channel.queue: self._consume(channel, lane, prefetch)
            for channels, lane in lanes
            for channel in channels
        }
        return await problems_of(opening)

    def suits(self, free_slots: int) -> bool:
        """Whether it brings no more than slots are free, and holds nothing back too long."""
        overdue = bool(self._held) and self.due_in <= 0
        gone = self.is_broken or self.is_outdated
        return not (gone or overdue or self._room > free_slots)

    @property
    def due_in(self) -> float:
        """Seconds until the oldest held acknowledgement is overdue."""
        return self._held[0][1] + HOLD_SECONDS - self._now() if self._held else HOLD_SECONDS

    @property
    def patience(self) -> float:
        """Seconds until what waits in a lower lane may be taken; long if nothing waits."""
        asked_at = 0.0
        for lane in self._lanes:
            if lane.waiting:
                return asked_at + PATIENCE_SECONDS - self._now()
            asked_at = max(asked_at, lane.asked_at)
        return HOLD_SECONDS

    @property
    def quiet_seconds(self) -> float:
        """How long nothing has come."""
        return self._now() - self._quiet_since

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come, and nothing that came was left to acknowledge."""
        return 0.0 if self._handed or self._held else self._now() - self._silent_since

    def found_in_order(self) -> None:
        """Begin to count the quiet time anew."""
        self._quiet_since = self._now()

    def take(self, limit: int) -> list[Delivery]:
        """Hand out up to ``limit``, high lane first."""
        taken: list[Delivery] = []
        for lane in self._lanes:
            while lane.waiting and len(taken) < limit:
                taken.append(lane.waiting.popleft())
            if self._now() - lane.asked_at < PATIENCE_SECONDS:
                break
        self._handed.update(taken)
        return taken

    async def release(self, free_slots: int) -> None:
        """Send the held acknowledgements whose slots are free again."""
        count = min(free_slots - self._room, len(self._held))
        await self._send_acks([self._held.popleft()[0] for _ in range(count)])

    def holds(self, delivery: Delivery) -> bool:
        """Whether it was handed out and neither acknowledged nor taken back by the broker."""
        return delivery in self._handed and not delivery.channel.is_closed

    async def acknowledge(self, delivery: Delivery) -> None:
        """Take a delivery off its queue: held back while this period lasts. Repeatable."""
        if delivery not in self._handed:
            return
        self._handed.discard(delivery)
        if self._ended or self.is_broken:
            await self._send_acks([delivery])
        else:
            self._held.append((delivery, self._now()))

    async def end(self) -> list[Delivery]:
        """Cancel the consumers, send what is held, return what was not taken."""
        await asyncio.gather(*(c.cancel() for channels in self._channels for c in channels))
        self._ended = True
        held = [delivery for delivery, _ in self._held]
        self._held.clear()
        await self._send_acks(held)
        waiting = [delivery for lane in self._lanes for delivery in lane.waiting]
        left = [delivery for delivery in waiting if not delivery.channel.is_closed]
        self._handed.update(left)
        return left

    @property
    def _room(self) -> int:
        """How many more a lane may bring."""
        return self._prefetch - len(self._handed) - len(self._held)

    @property
    def _most(self) -> int:
        """How many a lane may bring once nothing is held back."""
        return self._prefetch - len(self._handed)

    async def _consume(self, channel: LaneChannel, lane: _Lane, prefetch: int) -> None:
        def came(received: AbstractIncomingMessage) -> None:
            lane.waiting.append(Delivery(received, channel, lane))
            lane.unacknowledged += 1
            self._quiet_since = self._silent_since = self._now()
            self._arrived.set()

        await channel.consume(came, prefetch=prefetch, lost=self._on_broken)
        lane.asked_at = self._now()

    async def _send_acks(self, deliveries: Sequence[Delivery]) -> None:
        by_channel: dict[LaneChannel, list[AbstractIncomingMessage]] = {}
        for delivery in deliveries:
            by_channel.setdefault(delivery.channel, []).append(delivery.received)
            if delivery.lane.unacknowledged >= self._prefetch:
                delivery.lane.asked_at = self._now()
            delivery.lane.unacknowledged -= 1
        for channel, received in by_channel.items():
            await channel.acknowledge(received)

    def _on_broken(self) -> None:
        self.is_broken = True
        self._arrived.set()
