"""A broker that delivers at least once: with duplicates, out of order, and again after a loss."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import takewhile
from random import Random

from jobfleet_contracts.codec import encode
from jobfleet_contracts.delay_steps import delay_step
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.index import QueueDepth
from jobfleet_contracts.job import LANES, lane_of
from jobfleet_contracts.message import DELIVERY_LIMIT, JobMessage, MalformedMessage
from jobfleet_protocol.claiming.unstartable import LOST_BEFORE_CLAIM
from tests.simulation.faults import Faults
from tests.simulation.invented_release import as_received_by, encoded
from tests.simulation.process import Process
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.wire import Wire

SILENT_SECONDS = 60.0
"""A connection whose process says nothing for so long is closed (AMQP heartbeat)."""

HOLD_SECONDS = 15.0
"""For so long a database keeps a message from others, whose taking or ending got no answer."""

Message = JobMessage | MalformedMessage
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message in the broker's hands.

    Attributes:
        rough: it was published, or came out of its delay, while there were faults.
        unanswered: deliveries over connections that were closed before they were acknowledged; of a
            database, deliveries to workers that were lost.
    """

    number: int
    place: Place
    message: Message
    rough: bool
    unanswered: int = 0

    @property
    def lost_workers(self) -> int:
        """How many workers it has cost, with the copies before it."""
        earlier = self.message.lost_workers if isinstance(self.message, JobMessage) else 0
        return earlier + self.unanswered


TAKEN: ContextVar[Parcel | None] = ContextVar("taken", default=None)
"""What the running task of a worker was handed."""


class Broker:
    """Work queues, delay queues, and what each connection has not acknowledged.

    Attributes:
        ever: every message that was published, for duplicates that come late.
        delayed: messages in delay queues, by job id.
        counts_losses: it is a database, as SQLite and PostgreSQL are. It tells how many workers a
            message has cost, hands out alone what came back, and knows no lost connections.
        costly_since: by job id and incarnation, when a message of it first had cost so many workers
            that the job may end for it.
        unread: ids of the jobs of messages that are handed out unread.
    """

    def __init__(
        self, *, time: VirtualTime, faults: Faults, seed: int, counts_losses: bool = False
    ) -> None:
        self.ever: list[JobMessage] = []
        self.delayed: Counter[str] = Counter()
        self.counts_losses = counts_losses
        self.costly_since: dict[tuple[str, int], float] = {}
        self.unread: set[str] = set()
        self._queues: defaultdict[Place, list[Parcel]] = defaultdict(list)
        self._consumers: list[FakeJobConsumer] = []
        self._number = 0
        self._time = time
        self._faults = faults
        self._dice = Random(f"broker/{seed}")

    def publish(self, message: Message) -> None:
        """Take a message; while there are faults it may overtake others, or come twice."""
        if isinstance(message, JobMessage):
            self.ever.append(message)
        rough = not self._faults.is_calm
        copies = 2 if rough and self._dice.random() < 0.01 else 1
        for _ in range(copies):
            self._number += 1
            self._put(Parcel(self._number, _place_of(message), message, rough), shuffle=rough)

    def publish_later(self, message: JobMessage, delay: timedelta) -> None:
        """Take a message into the largest delay that fits."""
        step = delay_step(delay)
        job_id = message.request.job_id
        self.delayed[job_id] += 1

        def expire() -> None:
            self.delayed[job_id] -= 1
            self.publish(message)

        self._time.after(step, expire)

    def take(self, consumer: FakeJobConsumer, limit: int, session: int) -> list[Parcel]:
        """Deliver to a connection, unless it was closed since it asked."""
        taken: list[Parcel] = []
        if session != consumer.session:
            return taken
        for lane in LANES:
            for queue in consumer.queues:
                waiting = self._queues[queue, lane]
                taken += waiting[: limit - len(taken)]
        if self.counts_losses:
            taken = apart(taken)
        for parcel in taken:
            self._queues[parcel.place].remove(parcel)
        consumer.unacknowledged.update((parcel.number, parcel) for parcel in taken)
        return taken

    def put_back(self, parcel: Parcel) -> None:
        """Take back what a connection no longer holds."""
        self._put(parcel, shuffle=not self._faults.is_calm)

    def connect(self, consumer: FakeJobConsumer) -> None:
        """Know a connection."""
        self._consumers.append(consumer)

    def drop(self, consumer: FakeJobConsumer) -> None:
        """Close a connection: what it has not acknowledged goes back to its queue."""
        for parcel in consumer.unacknowledged.values():
            self._put_back_unanswered(parcel)
        consumer.unacknowledged.clear()
        consumer.session += 1

    def lose_connection(self, consumer: FakeJobConsumer) -> None:
        """Close a connection whose worker lives; at a database, it still holds what it took."""
        if not self.counts_losses:
            self.drop(consumer)

    def lapse(self, consumer: FakeJobConsumer, numbers: Iterable[int]) -> None:
        """Put back, after a while, what a worker does not keep from others any more."""

        def put_back() -> None:
            for number in numbers:
                if (parcel := consumer.unacknowledged.pop(number, None)) is not None:
                    self._put_back_unanswered(parcel)

        self._time.after(HOLD_SECONDS, put_back)

    def disconnect(self, consumer: FakeJobConsumer) -> None:
        """Close a connection for good."""
        self.drop(consumer)
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def consumers(self) -> Sequence[FakeJobConsumer]:
        """Return all connections."""
        return tuple(self._consumers)

    def depths(self) -> list[QueueDepth]:
        """Return ready messages per lane."""
        return [QueueDepth(queue, lane, len(q)) for (queue, lane), q in self._queues.items()]

    def left(self) -> int:
        """Return how many messages there are anywhere."""
        ready = sum(map(len, self._queues.values()))
        return ready + self.delayed.total() + sum(len(c.unacknowledged) for c in self._consumers)

    def copies(self) -> Counter[str]:
        """Return how many messages of each job there are, but for what the faults have left ready.

        Those lie in their queue until a worker has room, and cost nothing: a fleet of one lock
        takes none while it runs a job. A worker that puts one off publishes it anew, and the copy
        counts from then on.
        """
        ready = [parcel for queue in self._queues.values() for parcel in queue if not parcel.rough]
        taken = [parcel for c in self._consumers for parcel in c.unacknowledged.values()]
        messages = [parcel.message for parcel in (*ready, *taken)]
        known = [m.request.job_id for m in messages if isinstance(m, JobMessage)]
        return self.delayed + Counter(known)

    def has_ready(self, queues: Sequence[str]) -> bool:
        """Whether there is something for these queues."""
        return any(self._queues[queue, lane] for queue in queues for lane in LANES)

    def _put_back_unanswered(self, parcel: Parcel) -> None:
        parcel = replace(parcel, unanswered=parcel.unanswered + 1)
        if isinstance(message := parcel.message, JobMessage):
            job_id = message.request.job_id
            if self.counts_losses and parcel.lost_workers >= LOST_BEFORE_CLAIM:
                self.is_costly(job_id, message.incarnation)
            if parcel.unanswered >= DELIVERY_LIMIT:
                self.unread.add(job_id)
        self.put_back(parcel)

    def is_costly(self, job_id: str, incarnation: int) -> None:
        """Note that from now on the job may end for the workers that its message has cost."""
        self.costly_since.setdefault((job_id, incarnation), self._time.now)

    def _put(self, parcel: Parcel, *, shuffle: bool) -> None:
        waiting = self._queues[parcel.place]
        at = self._dice.randint(0, len(waiting)) if shuffle else len(waiting)
        waiting.insert(at, parcel)
        for consumer in self._consumers:
            consumer.wake()


def _place_of(message: Message) -> Place:
    if isinstance(message, MalformedMessage):
        return "default", "normal"
    return message.request.queue, lane_of(message.request.priority)


def apart(parcels: Sequence[Parcel]) -> list[Parcel]:
    """Return those before the first one that came back, or that one alone."""
    fresh = list(takewhile(lambda parcel: parcel.unanswered == 0, parcels))
    return fresh or list(parcels[:1])


class FakeDelivery:
    """A message handed to a worker."""

    def __init__(self, *, consumer: FakeJobConsumer, parcel: Parcel, session: int) -> None:
        self._consumer = consumer
        self._parcel = parcel
        self._session = session

    @property
    def message(self) -> Message:
        """What came, as the release of the process decodes it."""
        TAKEN.set(self._parcel)
        message = self._parcel.message
        if self._parcel.unanswered >= DELIVERY_LIMIT and isinstance(message, JobMessage):
            request = message.request
            return MalformedMessage.unanswered(encode(request.to_json()), request.job_id)
        return as_received_by(self._consumer.process, message)

    @property
    def lost_workers(self) -> int:
        """How many workers the message has cost, where the broker can tell."""
        if not self._consumer.counts_losses:
            return 0
        return self._parcel.lost_workers

    async def ack(self) -> None:
        """Take it off the queue; quiet where the connection is gone."""
        await self._consumer.acknowledge(self._parcel.number, self._session)

    async def requeue(self) -> None:
        """Let another worker have it; quiet where the connection is gone."""
        await self._consumer.requeue(self._parcel.number, self._session)


class FakeJobConsumer:
    """The consuming connection of one process.

    Attributes:
        session: number of the connection; what came over an earlier one cannot be acknowledged.
    """

    def __init__(self, *, broker: Broker, wire: Wire) -> None:
        self.started: tuple[str, ...] = ()
        self.queues: tuple[str, ...] = ()
        self.unacknowledged: dict[int, Parcel] = {}
        self.session = 0
        self._broker = broker
        self._wire = wire
        self._handed: set[int] = set()
        self._waiting: asyncio.Future[None] | None = None

    @property
    def counts_losses(self) -> bool:
        """Whether a database holds its messages."""
        return self._broker.counts_losses

    @property
    def process(self) -> Process:
        """Whose connection it is."""
        return self._wire.process

    async def start(self, queues: Sequence[str]) -> None:
        """Open the queues."""
        self.started = self.queues = tuple(queues)
        self._broker.connect(self)

    def leave_out(self, queues: frozenset[str]) -> None:
        """Consume the others."""
        self.queues = tuple(queue for queue in self.started if queue not in queues)
        self.wake()

    async def receive(self, limit: int, wait: timedelta) -> Sequence[FakeDelivery]:
        """Return 1 to ``limit`` deliveries, or none after ``wait``."""
        if limit < 1:
            return []
        if not self._broker.has_ready(self.queues):
            await self._until_ready(wait.total_seconds())
        if not self._broker.has_ready(self.queues):
            return []
        session = self.session
        try:
            parcels = await self._wire.read(
                "queue.receive", lambda: self._broker.take(self, limit, session), service="broker"
            )
        except BackendUnavailable:
            self._give_up(self.unacknowledged.keys() - self._handed)
            raise
        self._handed.update(parcel.number for parcel in parcels)
        return [FakeDelivery(consumer=self, parcel=p, session=session) for p in parcels]

    async def acknowledge(self, number: int, session: int) -> None:
        """Take it off the queue; where that fails, the connection is given up."""

        def take_off() -> None:
            if self._is_held(session):
                self.unacknowledged.pop(number, None)

        try:
            await self._wire.write("queue.ack", take_off, service="broker")
        except BackendUnavailable:
            self._give_up({number})

    async def requeue(self, number: int, session: int) -> None:
        """Put it into its queue again; where that fails, the connection is given up."""

        def put_back() -> None:
            if self._is_held(session) and (parcel := self.unacknowledged.pop(number, None)):
                self._broker.put_back(parcel)

        try:
            await self._wire.write("queue.requeue", put_back, service="broker")
        except BackendUnavailable:
            self._give_up({number})
            raise

    async def stop(self) -> None:
        """Take nothing more; what is not acknowledged goes back."""
        self.started = self.queues = ()
        if self.counts_losses:  # the worker says itself that it gives them back
            for parcel in self.unacknowledged.values():
                self._broker.put_back(parcel)
            self.unacknowledged.clear()
        self._broker.disconnect(self)
        self.wake()

    def wake(self) -> None:
        """Something is ready."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _is_held(self, session: int) -> bool:
        """Whether what came over that connection can still be acknowledged."""
        return self.counts_losses or session == self.session

    def _give_up(self, numbers: Iterable[int]) -> None:
        """After a request without an answer: the connection, or these messages of a database."""
        if not self.counts_losses:
            self._broker.drop(self)
            return
        self.session += 1  # a receive that is still on its way takes nothing
        self._broker.lapse(self, tuple(sorted(numbers)))

    async def _until_ready(self, seconds: float) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._waiting
        except TimeoutError:
            return


class FakeJobQueue:
    """The publishing connection of one process."""

    def __init__(self, *, broker: Broker, wire: Wire) -> None:
        self._broker = broker
        self._wire = wire

    async def publish(self, message: JobMessage, *, timeout: float = 3.0) -> None:
        """Put a message into its lane."""
        message = encoded(message)
        await self._confirmed(
            self._wire.write(
                "queue.publish",
                lambda: self._broker.publish(message),
                about=_about(message),
                service="broker",
            ),
            timeout,
        )

    async def publish_later(self, message: JobMessage, delay: timedelta) -> None:
        """Put a message into a delay queue."""
        message = encoded(message)
        await self._confirmed(
            self._wire.write(
                "queue.publish_later",
                lambda: self._broker.publish_later(message, delay),
                about=f"{_about(message)} {delay.total_seconds():.3f}",
                service="broker",
            ),
            3.0,
        )

    async def depths(self) -> Sequence[QueueDepth]:
        """Return how many messages are ready."""
        return await self._wire.read("queue.depths", self._broker.depths, service="broker")

    async def _confirmed(self, sent: asyncio.Future[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await sent
        except TimeoutError:
            raise BackendUnavailable("not confirmed in time") from None


def _about(message: JobMessage) -> str:
    return f"{message.request.job_id[-4:]} {message.sequence}"
