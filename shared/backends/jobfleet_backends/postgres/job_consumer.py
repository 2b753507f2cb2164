"""Deliveries for one worker: rows that it holds for as long as it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg
import structlog

from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.listener import LISTENING, Listener
from jobfleet_backends.postgres.message_rows import ACKNOWLEDGE, HOLD_SECONDS, TAKE, Held, Taking
from jobfleet_backends.sql.held_delivery import HeldDelivery, held_deliveries
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.job import LANES
from jobfleet_contracts.job_id import new_id

HOLD_RENEW_SECONDS = 5.0
POLL_SECONDS = 1.0
"""Longest pause between two looks for messages: a notification may have been lost."""
POLL_UNHEARD_SECONDS = 0.2
"""The same where no notification has ever arrived, as behind a pooler."""
_UNASKED_SECONDS = 0.02
"""Shortest pause between two looks: another session may lock a due message for long."""
HOLD_NOT_RENEWED = "deliveries.hold_not_renewed"

# Only the first row of each place is read.
_NEXT = """
SELECT extract(epoch FROM min(due) - clock_timestamp())::float8
FROM json_to_recordset(%s::json) AS places (queue text, lane smallint) CROSS JOIN LATERAL (
    SELECT visible_at AS due FROM jobfleet.messages
    WHERE messages.queue = places.queue AND messages.lane = places.lane
    ORDER BY visible_at LIMIT 1
) AS first
"""
_HOLD = """
UPDATE jobfleet.messages SET visible_at = clock_timestamp() + make_interval(secs => %s)
WHERE message = ANY(%s) AND holder = %s
"""
_REQUEUE = """
UPDATE jobfleet.messages SET visible_at = clock_timestamp(), holder = NULL,
    unanswered = unanswered - 1
WHERE message = ANY(%s) AND holder = %s
"""
_NAME_QUEUES = """
INSERT INTO jobfleet.queues SELECT pg_catalog.unnest(%s::text[]) ON CONFLICT (queue) DO NOTHING
"""

_log = structlog.get_logger()


class PostgresJobConsumer:
    """Takes messages, high lane first, and holds them until they are acknowledged."""

    def __init__(self, *, database: Database, listener: Listener) -> None:
        self._database = database
        self._listener = listener
        self._holder = new_id()
        self._held: set[int] = set()
        self._queues: tuple[str, ...] = ()
        self._places: list[tuple[str, int]] = []
        self._notified = asyncio.Event()
        self._is_drained = False
        """The last look took all there was: without a notification the next one waits."""
        self._poll_seconds = POLL_UNHEARD_SECONDS
        self._named = False
        self._keeper: asyncio.Task[None] | None = None

    async def start(self, queues: Sequence[str]) -> None:
        """Open the queues and keep holding what gets delivered; the server may be away."""
        self._queues = tuple(queues)
        self.leave_out(frozenset())
        await self._name_queues()
        self._listener.add(self._hear)
        self._keeper = asyncio.create_task(self._keep(), name="postgres-delivery-keeper")

    def leave_out(self, queues: frozenset[str]) -> None:
        """Take nothing from these queues until the next call."""
        served = [queue for queue in self._queues if queue not in queues]
        self._is_drained = False
        self._places = [(queue, lane) for lane in range(len(LANES)) for queue in served]

    async def receive(self, limit: int, wait: timedelta) -> Sequence[HeldDelivery]:
        """Return 1 to ``limit`` deliveries, or none after ``wait``."""
        boottime = self._database.clock.boottime
        deadline = boottime() + wait.total_seconds()
        while limit > 0 and self._keeper is not None:
            if self._notified.is_set() or not self._is_drained:
                # Before the look: a notification that comes after it must end the wait.
                self._notified.clear()
                with _rows_readable():
                    deliveries = await self._take(limit)
                self._is_drained = len(deliveries) < limit
                if deliveries:
                    return deliveries
            left = deadline - boottime()
            if left <= 0 or self._keeper is None:
                break
            await self._wait(left)
            self._is_drained = False
        return []

    async def acknowledge(self, number: int) -> None:
        """Remove a message that this consumer holds."""
        await self._database.write(ACKNOWLEDGE, Held(number, self._holder))
        self._held.discard(number)

    async def requeue(self, number: int) -> None:
        """Show a message that this consumer holds to everybody.

        Raises:
            BackendUnavailable: not confirmed; it shows up at the latest when its time is over.
        """
        self._held.discard(number)
        await self._requeue([number])

    async def stop(self) -> None:
        """Take nothing more; what is held shows up for others at once."""
        if self._keeper is None:
            return
        keeper, self._keeper = self._keeper, None
        self._listener.remove(self._hear)
        self._notified.set()
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        with suppress(BackendUnavailable):  # then they show up when their time is over
            await self._requeue(self._held)
        self._held.clear()

    async def _take(self, limit: int) -> list[HeldDelivery]:
        if not self._places:
            return []
        taking = Taking(tuple(self._places), limit, self._holder)
        rows = await self._database.write(TAKE, taking)
        self._held.update(row[0] for row in rows)
        return held_deliveries(self, rows)

    async def _wait(self, seconds: float) -> None:
        """Wait for a notification, for the next message that is due, or until it is time to look.

        The first moments pass without a question: it would stand beside the claims of what was
        taken just now, and a busy fleet notifies again before it is over.
        """
        if await self._is_notified_within(min(seconds, _UNASKED_SECONDS)):
            return
        pause = min(seconds, self._poll_seconds) - _UNASKED_SECONDS
        if self._places and pause > 0:
            due = await self._next_due()
            pause = pause if due is None else min(pause, due)
        if pause > 0:
            await self._is_notified_within(pause)

    async def _is_notified_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._notified.wait()
        except TimeoutError:
            return False

    async def _next_due(self) -> float | None:
        """Return seconds until the next message shows up, negative if it has; ``None``: none."""
        places = [{"queue": queue, "lane": lane} for queue, lane in self._places]
        with _rows_readable():
            ((seconds,),) = await self._database.fetch(_NEXT, encode_text(places))
        return None if seconds is None else float(seconds)

    def _hear(self, payload: str) -> None:
        """Take a notification; an empty one comes when the session that listens was opened."""
        if payload == LISTENING:
            self._poll_seconds = POLL_SECONDS
        elif payload in self._queues:
            self._notified.set()
        elif not payload:
            self._poll_seconds = POLL_UNHEARD_SECONDS
            self._notified.set()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(HOLD_RENEW_SECONDS)
            if not self._named:
                await self._name_queues()
            try:
                if self._held:
                    await self._database.execute(
                        _HOLD, HOLD_SECONDS, list(self._held), self._holder
                    )
            except BackendUnavailable as error:
                _log.warning(HOLD_NOT_RENEWED, error=str(error))

    async def _name_queues(self) -> None:
        """Let depths list the queues though nothing was ever published to them."""
        with suppress(BackendUnavailable):
            await self._database.execute(_NAME_QUEUES, sorted(self._queues))
            self._named = True

    async def _requeue(self, numbers: Iterable[int]) -> None:
        if held := list(numbers):
            await self._database.execute(_REQUEUE, held, self._holder)


@contextmanager
def _rows_readable() -> Iterator[None]:
    """Take an error about values for a fault of the database: they are those of stored rows."""
    try:
        yield
    except psycopg.DataError as error:
        raise BackendUnavailable(
            f"a row of the table messages holds a value that nothing can be done with ({error}); "
            "undo changes by hand"
        ) from error
