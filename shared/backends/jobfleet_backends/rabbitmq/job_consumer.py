"""Deliveries for one worker, never more than it can start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog
from aio_pika.abc import AbstractIncomingMessage

from jobfleet_backends.rabbitmq.back_off import BackOff
from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.delivery import RabbitDelivery
from jobfleet_backends.rabbitmq.errors import problems_of, translate_errors
from jobfleet_backends.rabbitmq.lane_channel import ANSWER_SECONDS, LaneChannel
from jobfleet_backends.rabbitmq.message_codec import again
from jobfleet_backends.rabbitmq.prefetch_window import Delivery, PrefetchWindow
from jobfleet_backends.rabbitmq.suspended_queues import SuspendedQueues
from jobfleet_backends.rabbitmq.topology import LaneQueue
from jobfleet_contracts.errors import (
    BackendError,
    BackendForbidden,
    BackendUnavailable,
    Unroutable,
)

LINGER_SECONDS = 0.2
"""Consumers stay open for this long between two receives. A worker that asks again at once need not
open them again. A worker that does not ask again has no free slot and must hold no message."""
QUIET_SECONDS = 10.0
"""When nothing came for this long, the queues are asked whether something is ready."""
SILENT_SECONDS = 30.0
"""When nothing came for this long, consuming begins anew on other channels. A queue that is deleted
and declared again at once can take over the old queue's consumer. RabbitMQ 3.10 then counts
messages as delivered that it never sends (seen within the first second of a queue's life)."""
TAKE_SECONDS = 3 * ANSWER_SECONDS
"""For ending the consumers, declaring and consuming; each may wait for a queue that is mute."""
ATTEMPT_SECONDS = 300.0
"""For a queue that was set aside. Not often: the broker keeps a channel that waits for a queue."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
"""Between attempts on queues that the broker, reachable as it is, refuses."""

CONSUMER_FOUND_DEAD = "consumer.found_dead"

log = structlog.get_logger()


class RabbitJobConsumer:
    """Takes from one :class:`PrefetchWindow` at a time and opens another if that does not suit.

    For one worker, on the event loop that made the connection.
    """

    def __init__(self, *, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq
        self._link = rabbitmq.consuming
        self._topology = rabbitmq.topology
        self._queues: tuple[str, ...] = ()
        self._left_out: frozenset[str] = frozenset()
        self._key: bytes | None = None
        self._channels: dict[LaneQueue, LaneChannel] = {}
        self._suspended = SuspendedQueues(attempt=self._attempt, resumed=self._outdate)
        self._window: PrefetchWindow | None = None
        self._is_interrupted = False
        self._back_off = BackOff(first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)
        self._problem = ""
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

    def leave_out(self, queues: frozenset[str]) -> None:
        """Consume none of these queues until the next call.

        What came from them and was not received goes back to its queue.
        """
        if queues != self._left_out:
            self._left_out, self._is_declared = queues, False
            self._outdate()

    async def receive(self, limit: int, wait: timedelta) -> Sequence[RabbitDelivery]:
        """Return 1 to ``limit`` deliveries, high lane first, or none after ``wait``.

        Raises:
            BackendUnavailable: the broker was away all the time.
            BackendForbidden: it refuses user, virtual host or permission.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait.total_seconds()
        self._stop_lingering()
        self._key = await self._rabbitmq.message_key.find()
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
            await self._drop_channels()
        await self._suspended.stop()
        if self._settling is not None:
            await asyncio.wait([self._settling])

    async def _receive(self, limit: int, deadline: float) -> Sequence[RabbitDelivery]:
        now = asyncio.get_running_loop().time
        while self._queues:
            self._arrived.clear()
            if self._back_off.remaining:
                await self._pause(deadline)
                continue
            try:
                async with asyncio.timeout_at(max(deadline, now() + TAKE_SECONDS)):
                    taken = await self._take(limit)
            except (BackendUnavailable, Unroutable, TimeoutError) as error:
                await self._drop_channels()
                self._problem = str(error) or f"RabbitMQ at {self._link.address} is silent"
                if self._link.is_open:  # else the link itself pauses
                    self._back_off.failed()
                if now() >= deadline:
                    raise BackendUnavailable(self._problem) from error
                continue
            except BackendForbidden:
                await self._drop_channels()
                raise
            except asyncio.CancelledError:
                self._is_interrupted = True
                raise
            self._back_off.succeeded()
            left = deadline - now()
            if taken or left <= 0:
                return taken
            await self._wait(left)
        return ()

    async def _pause(self, deadline: float) -> None:
        """Wait for the next attempt; raise what went wrong if the deadline comes before."""
        now = asyncio.get_running_loop().time
        await self._arrived_within(min(deadline - now(), self._back_off.remaining))
        if now() >= deadline:
            raise BackendUnavailable(self._problem)

    async def _take(self, limit: int) -> Sequence[RabbitDelivery]:
        """Take what is there, from consumers that bring about as many as slots are free."""
        if self._is_interrupted:
            await self._drop_channels()  # no consumer holds what came to the cancelled one
        if self._window is not None and self._window.silent_seconds > SILENT_SECONDS:
            await self._drop_channels()
        window = self._window
        if window is not None and window.quiet_seconds > QUIET_SECONDS:
            await self._look_for_dead_consumers(window)
        if window is not None and not window.suits(limit):
            kept = await self._end(window, keep=limit)
            if kept:
                return self._deliveries(kept, window)
            window = None
        if window is None:
            window = await self._open(limit)
        elif window.is_too_narrow(limit):
            await window.widen(limit)
        await window.release(limit)
        return self._deliveries(window.take(limit), window)

    def _deliveries(
        self, taken: Iterable[Delivery], window: PrefetchWindow
    ) -> list[RabbitDelivery]:
        return [
            RabbitDelivery(delivery=each, window=window, requeue=self._requeue, key=self._key)
            for each in taken
        ]

    async def _wait(self, seconds: float) -> None:
        if self._window is not None:
            until_quiet = QUIET_SECONDS - self._window.quiet_seconds
            soonest = min(self._window.due_in, self._window.patience, until_quiet)
            seconds = max(0.0, min(seconds, soonest))
        await self._arrived_within(seconds)

    async def _arrived_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _open(self, limit: int) -> PrefetchWindow:
        await self._link.connection()
        await self._declare()
        lanes = [
            [self._channel_of(queue) for queue in lane if queue.name not in self._suspended]
            for lane in zip(*map(self._topology.lanes_of, self._wanted), strict=True)
        ]
        window = self._window = PrefetchWindow(lanes=lanes, prefetch=limit, arrived=self._arrived)
        self._do_without(await window.start(), of=sum(map(len, lanes)))
        return window

    async def _declare(self) -> None:
        if self._is_declared:
            return
        lanes = [self._topology.lanes_of(queue) for queue in self._served]
        problems = await problems_of({queues[0]: self._declare_one(queues[0]) for queues in lanes})
        mute = {queue: problems[q[0]] for q in lanes if q[0] in problems for queue in q}
        self._do_without(mute, of=sum(map(len, lanes)))
        await self._declare_events()
        self._is_declared = True

    async def _declare_one(self, queue: LaneQueue) -> None:
        permission = "configure, write and read"
        with translate_errors(self._link.address, "declare its work queues", permission=permission):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._link.declare(queue.route)

    async def _declare_events(self) -> None:
        """Let listeners elsewhere bind before anything happens; best effort, as events are."""
        with (
            suppress(BackendError),
            translate_errors(self._link.address, "declare the event exchange"),
        ):
            async with asyncio.timeout(ANSWER_SECONDS), self._link.borrowed_channel() as channel:
                await self._topology.declare_events(channel)

    def _do_without(self, mute: Mapping[LaneQueue, BackendUnavailable], *, of: int) -> None:
        """Suspend queues if others answer; raise if none does, or the connection is lost."""
        if mute and (len(mute) == of or not self._link.is_open):
            raise next(iter(mute.values()))
        for queue, problem in mute.items():
            self._suspended.add(queue, str(problem))

    async def _attempt(self, queue: LaneQueue) -> None:
        """Consume a queue that was set aside for a moment; what comes goes back to it."""
        channel = LaneChannel(link=self._link, queue=queue)
        came: list[AbstractIncomingMessage] = []
        try:
            await self._declare_one(queue)
            await channel.consume(
                came.append, prefetch=1, lost=self._arrived.set, within=ATTEMPT_SECONDS
            )
            await channel.cancel()
            for received in came:
                await self._rabbitmq.sender.send(again(received), queue.route)
                await channel.acknowledge([received])
        finally:
            await channel.close()

    def _outdate(self) -> None:
        if self._window is not None:
            self._window.is_outdated = True
        self._arrived.set()

    def _channel_of(self, queue: LaneQueue) -> LaneChannel:
        channel = self._channels.get(queue)
        if channel is None or channel.is_closed:
            channel = self._channels[queue] = LaneChannel(link=self._link, queue=queue)
        return channel

    @property
    def _wanted(self) -> list[str]:
        return [queue for queue in self._queues if queue not in self._left_out]

    @property
    def _served(self) -> list[str]:
        """The queues with a lane that is not suspended."""
        lanes_of, suspended = self._topology.lanes_of, self._suspended
        return [q for q in self._wanted if any(lane.name not in suspended for lane in lanes_of(q))]

    async def _end(self, window: PrefetchWindow, *, keep: int = 0) -> list[Delivery]:
        """End a period; return up to ``keep`` of what was not taken, requeue the others."""
        self._window = None
        self._is_declared = self._is_declared and not window.is_broken
        left = await window.end()
        unwanted = {q.name for name in self._left_out for q in self._topology.lanes_of(name)}
        kept = [each for each in left if each.channel.queue.name not in unwanted][:keep]
        requeued = [each for each in left if each not in kept]
        await asyncio.gather(*(self._requeue(window, delivery) for delivery in requeued))
        return kept

    async def _requeue(self, window: PrefetchWindow, delivery: Delivery) -> None:
        if not window.holds(delivery):
            return
        # Never a reject: that counts against the delivery limit of a message that was not tried.
        await self._rabbitmq.sender.send(again(delivery.received), delivery.channel.queue.route)
        await window.acknowledge(delivery)

    async def _look_for_dead_consumers(self, window: PrefetchWindow) -> None:
        ready = 0
        with translate_errors(
            self._link.address, "look at its work queues", permission="configure"
        ):
            async with self._link.borrowed_channel() as channel:
                for queue in self._served:
                    counts = await self._topology.declare_and_count(channel, queue)
                    ready += sum(n for name, n in counts.items() if name not in self._suspended)
        if ready:
            log.warning(CONSUMER_FOUND_DEAD, queues=self._queues, ready=ready)
            raise BackendUnavailable("messages are ready, and the consumers bring none")
        window.found_in_order()

    def _start_settling(self) -> None:
        self._settling = asyncio.create_task(self._settle_in_turn(), name="rabbitmq-settle")

    async def _settle_in_turn(self) -> None:
        async with self._turn:
            await self._settle()

    async def _settle(self) -> None:
        """Hold nothing: no consumer, no acknowledgement, no message that was not taken."""
        try:
            if self._window is not None and not self._is_interrupted:
                await self._end(self._window)
        except BackendError:
            self._is_interrupted = True
        if self._is_interrupted:
            await self._drop_channels()

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()

    async def _drop_channels(self) -> None:
        """Let the broker take everything back that is not acknowledged."""
        channels, self._channels, self._window = self._channels, {}, None
        self._is_declared = self._is_interrupted = False
        await asyncio.gather(*(channel.close() for channel in channels.values()))
