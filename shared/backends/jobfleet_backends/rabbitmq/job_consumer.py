"""Deliveries for one worker, never more than it can start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from aio_pika.abc import AbstractChannel

from jobfleet_backends.rabbitmq.acknowledgements import Acknowledgements
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.delivery import RabbitDelivery
from jobfleet_backends.rabbitmq.failures import speaking
from jobfleet_backends.rabbitmq.intake import RPC_SECONDS, Arrival, Intake
from jobfleet_backends.rabbitmq.message_codec import again
from jobfleet_contracts.errors import BackendError, BackendUnavailable

LINGER_SECONDS = 0.2
"""Consumers stay open for this long between two receives: a worker that asks again at once spares
their opening, and one that does not ask again has no free slot and may hold nothing."""
QUIET_SECONDS = 10.0
"""When nothing came for this long, the queues are asked whether something is ready."""

CONSUMER_FOUND_DEAD = "consumer.found_dead"

log = structlog.get_logger()


class RabbitJobConsumer:
    """Takes from one :class:`Intake` at a time and opens another where that does not suit.

    For one worker, on the event loop that made the connection.
    """

    def __init__(self, *, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq
        self._link = rabbitmq.consuming
        self._queues: tuple[str, ...] = ()
        self._channel: AbstractChannel | None = None
        self._acknowledgements = Acknowledgements()
        self._intake: Intake | None = None
        self._is_declared = False
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self._linger: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None

    async def start(self, queues: Sequence[str]) -> None:
        """Declare the queues. While the broker is away this is left to :meth:`receive`.

        Raises:
            BackendForbidden: the broker refuses user, virtual host or permission.
        """
        async with self._turn:
            self._queues, self._is_declared = tuple(queues), False
            try:
                await self._declare()
            except BackendUnavailable:
                return

    async def receive(self, limit: int, wait: timedelta) -> Sequence[RabbitDelivery]:
        """Return 1 to ``limit`` deliveries, high lane first, or none after ``wait``.

        Raises:
            BackendUnavailable: the broker was away all the time.
            BackendForbidden: it refuses user, virtual host or permission.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait.total_seconds()
        self._stop_lingering()
        async with self._turn:
            try:
                return await self._receive(limit, deadline)
            finally:
                self._stop_lingering()
                self._linger = loop.call_later(LINGER_SECONDS, self._start_settling)

    async def stop(self) -> None:
        """Take nothing more; what is not acknowledged goes back to its queue."""
        self._queues = ()
        self._arrived.set()
        async with self._turn:
            self._stop_lingering()
            await self._settle()
            await self._drop_channel()
        if self._settling is not None:
            await asyncio.wait([self._settling])

    async def _receive(self, limit: int, deadline: float) -> Sequence[RabbitDelivery]:
        now = asyncio.get_running_loop().time
        while self._queues:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(max(deadline, now() + RPC_SECONDS)):
                    taken = await self._take(limit)
            except (BackendUnavailable, TimeoutError) as error:
                await self._drop_channel()
                if now() >= deadline:
                    raise BackendUnavailable(str(error) or self._silence) from error
                continue
            left = deadline - now()
            if taken or left <= 0:
                return taken
            await self._wait(left)
        return ()

    async def _take(self, limit: int) -> Sequence[RabbitDelivery]:
        """Take what is there, from consumers that suit the number of free slots."""
        intake = self._intake
        if intake is not None and intake.quiet_seconds > QUIET_SECONDS:
            await self._look_for_dead_consumers(intake)
        if intake is not None and not intake.suits(limit):
            kept = await self._end(intake, keep=limit)
            if kept:
                return [RabbitDelivery(arrival=arrival, intake=intake) for arrival in kept]
            intake = None
        if intake is None:
            intake = await self._open(limit)
        await intake.release(limit)
        return [RabbitDelivery(arrival=a, intake=intake) for a in intake.take(limit)]

    async def _wait(self, seconds: float) -> None:
        if self._intake is not None:
            until_quiet = QUIET_SECONDS - self._intake.quiet_seconds
            soonest = min(self._intake.due_in, self._intake.patience, until_quiet)
            seconds = max(0.0, min(seconds, soonest))
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _open(self, limit: int) -> Intake:
        if self._channel is None or self._channel.is_closed:
            self._channel, self._is_declared = None, False
            self._channel = await self._link.channel()
            self._acknowledgements = Acknowledgements()
        await self._declare()
        lanes = self._rabbitmq.topology.lanes(self._queues)
        intake = Intake(
            channel=self._channel,
            acknowledgements=self._acknowledgements,
            lanes=lanes,
            prefetch=limit,
            arrived=self._arrived,
        )
        with speaking(self._link.address, "consume its work queues", permission="read"):
            await intake.start()
        self._intake = intake
        return intake

    async def _declare(self) -> None:
        if self._is_declared:
            return
        channel = await self._link.channel()
        permission = "configure, write and read"
        with speaking(self._link.address, "declare its work queues", permission=permission):
            for queue in self._queues:
                await self._rabbitmq.topology.declare_lanes(channel, queue)
            await channel.close()
        self._is_declared = True

    async def _end(self, intake: Intake, *, keep: int = 0) -> list[Arrival]:
        """End a period; return up to ``keep`` of what nobody took, give back the others."""
        self._intake = None
        self._is_declared = self._is_declared and not intake.is_broken
        if self._channel is None or self._channel.is_closed:
            return []
        with speaking(self._link.address, "cancel its consumers"):
            left = await intake.end()
        await asyncio.gather(*(self._give_back(intake, arrival) for arrival in left[keep:]))
        return left[:keep]

    async def _give_back(self, intake: Intake, arrival: Arrival) -> None:
        # Never a reject: that counts against the delivery limit of a message that nobody tried.
        await self._rabbitmq.sender.send(again(arrival.received), arrival.route)
        await intake.acknowledge(arrival)

    async def _look_for_dead_consumers(self, intake: Intake) -> None:
        channel = await self._link.channel()
        count = self._rabbitmq.topology.declare_and_count
        with speaking(self._link.address, "look at its work queues", permission="configure"):
            ready = sum([await count(channel, queue) for queue in self._queues])
            await channel.close()
        if ready:
            log.warning(CONSUMER_FOUND_DEAD, queues=self._queues, ready=ready)
            raise BackendUnavailable("messages are ready, and the consumers bring none")
        intake.found_in_order()

    def _start_settling(self) -> None:
        self._settling = asyncio.create_task(self._settle_in_turn(), name="rabbitmq-settle")

    async def _settle_in_turn(self) -> None:
        async with self._turn:
            await self._settle()

    async def _settle(self) -> None:
        """Hold nothing: no consumer, no acknowledgement, no message that nobody took."""
        if self._intake is None:
            return
        try:
            await self._end(self._intake)
        except BackendError:
            await self._drop_channel()

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()

    async def _drop_channel(self) -> None:
        """Let the broker take everything back that is not acknowledged."""
        channel, self._channel, self._intake = self._channel, None, None
        self._is_declared = False
        if channel is None or channel.is_closed:
            return
        try:
            with speaking(self._link.address, "close a channel"):
                async with asyncio.timeout(RPC_SECONDS):
                    await channel.close()
        except BackendError:
            self._link.suspect()

    @property
    def _silence(self) -> str:
        return f"RabbitMQ at {self._link.address} is silent"
