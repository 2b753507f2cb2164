"""One period of consuming with a fixed prefetch, and the acknowledgements held back in it.

Whatever is unacknowledged counts against the prefetch. So as long as the acknowledgements of jobs
that fill slots are held back, the broker sends no more than there are free slots, and no consumer
has to be cancelled and opened between two short jobs. They are held back for a second at most:
then the period ends, they are sent, and the next one is opened with as many as are free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from jobfleet_backends.rabbitmq.acknowledgements import Acknowledgements
from jobfleet_backends.rabbitmq.channel_watch import ChannelWatch
from jobfleet_backends.rabbitmq.topology import LaneQueue, Route

HOLD_SECONDS = 1.0
PATIENCE_SECONDS = 0.025
"""A full lane that was just allowed to bring more has this long before a lower one has its turn."""
RPC_SECONDS = 5.0


@dataclass(slots=True)
class _Lane:
    """What came of a lane, and when the broker, having had to hold back, could send more of it."""

    asked_at: float
    unacknowledged: int = 0
    waiting: deque[Arrival] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that came, and the way back into its queue."""

    received: AbstractIncomingMessage
    route: Route
    lane: _Lane

    @property
    def tag(self) -> int:
        """The broker's number of this delivery on its channel."""
        return self.received.delivery_tag or 0


class Intake:
    """Consumers on all lanes, what they brought, and what of it is unacknowledged.

    Args:
        lanes: work queues in the order in which to take from them; those of one lane are equals.
        acknowledgements: of the channel, whose deliveries outlive a period.
        prefetch: per work queue; the number of free slots.
        arrived: set whenever something came or broke.
    """

    def __init__(
        self,
        *,
        channel: AbstractChannel,
        acknowledgements: Acknowledgements,
        lanes: Sequence[Sequence[LaneQueue]],
        prefetch: int,
        arrived: asyncio.Event,
    ) -> None:
        self.is_broken = False
        self._channel = channel
        self._acknowledgements = acknowledgements
        self._queues = lanes
        self._prefetch = prefetch
        self._arrived = arrived
        self._now = asyncio.get_running_loop().time
        self._lanes = tuple(_Lane(self._now()) for _ in lanes)
        self._watch = ChannelWatch(channel=channel, lost=self._on_broken)
        self._consumers: list[tuple[AbstractQueue, str]] = []
        self._handed: set[int] = set()
        self._held: deque[tuple[Arrival, float]] = deque()
        self._ended = False
        self._quiet_since = self._now()

    async def start(self) -> None:
        """Open the consumers; raises what the client library raises."""
        await self._watch.start()
        await self._channel.set_qos(prefetch_count=self._prefetch, timeout=RPC_SECONDS)
        for queues, lane in zip(self._queues, self._lanes, strict=True):
            for queue in queues:
                await self._consume(queue, lane)

    def suits(self, free_slots: int) -> bool:
        """Whether the prefetch still fits the free slots and nothing is held back too long."""
        overdue = bool(self._held) and self.due_in <= 0
        too_narrow = self._prefetch < free_slots and not any(lane.waiting for lane in self._lanes)
        return not (self.is_broken or overdue or too_narrow or self._room > free_slots)

    @property
    def due_in(self) -> float:
        """Seconds until the oldest held acknowledgement is overdue."""
        return self._held[0][1] + HOLD_SECONDS - self._now() if self._held else HOLD_SECONDS

    @property
    def patience(self) -> float:
        """Seconds until what waits in a lower lane may be taken; long where nothing waits."""
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

    def found_in_order(self) -> None:
        """Begin to count the quiet time anew."""
        self._quiet_since = self._now()

    def take(self, limit: int) -> list[Arrival]:
        """Hand out up to ``limit``, high lane first."""
        taken: list[Arrival] = []
        for lane in self._lanes:
            while lane.waiting and len(taken) < limit:
                taken.append(lane.waiting.popleft())
            if self._now() - lane.asked_at < PATIENCE_SECONDS:
                break
        self._handed.update(arrival.tag for arrival in taken)
        return taken

    async def release(self, free_slots: int) -> None:
        """Send the held acknowledgements whose slots are free again."""
        count = min(free_slots - self._room, len(self._held))
        await self._send_acks([self._held.popleft()[0] for _ in range(count)])

    async def acknowledge(self, arrival: Arrival) -> None:
        """Take a delivery off its queue: held back while this period lasts. Quiet if repeated."""
        if arrival.tag not in self._handed:
            return
        self._handed.discard(arrival.tag)
        if self._ended or self.is_broken:
            await self._send_acks([arrival])
        else:
            self._held.append((arrival, self._now()))

    async def end(self) -> list[Arrival]:
        """Cancel the consumers, send what is held, return what nobody took; raises as start."""
        await self._watch.stop()
        for queue, tag in self._consumers:
            await queue.cancel(tag, timeout=RPC_SECONDS)
        self._ended = True
        held = [arrival for arrival, _ in self._held]
        self._held.clear()
        await self._send_acks(held)
        left = [arrival for lane in self._lanes for arrival in lane.waiting]
        self._handed.update(arrival.tag for arrival in left)
        return left

    @property
    def _room(self) -> int:
        """How many more a lane may bring."""
        return self._prefetch - len(self._handed) - len(self._held)

    async def _consume(self, queue: LaneQueue, lane: _Lane) -> None:
        async def on_message(received: AbstractIncomingMessage) -> None:
            lane.waiting.append(Arrival(received, queue.route, lane))
            lane.unacknowledged += 1
            self._quiet_since = self._now()
            self._arrived.set()

        consumed = await self._channel.get_queue(queue.name, ensure=False)
        tag = await consumed.consume(on_message, timeout=RPC_SECONDS)
        self._consumers.append((consumed, tag))
        lane.asked_at = self._now()

    async def _send_acks(self, arrivals: Sequence[Arrival]) -> None:
        if not arrivals:
            return
        for lane in {id(arrival.lane): arrival.lane for arrival in arrivals}.values():
            if lane.unacknowledged >= self._prefetch:
                lane.asked_at = self._now()
        for arrival in arrivals:
            arrival.lane.unacknowledged -= 1
        await self._acknowledgements.send([arrival.received for arrival in arrivals])

    def _on_broken(self) -> None:
        self.is_broken = True
        self._arrived.set()
