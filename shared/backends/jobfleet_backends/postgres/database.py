"""The database: reading and writing it from any event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jobfleet_backends.postgres.batch import BatchStatement, Item, Request, Result
from jobfleet_backends.postgres.connection import CONNECT_SECONDS, Address, Session, set_up
from jobfleet_backends.postgres.migrations import check_version, read_version
from jobfleet_backends.postgres.schema import in_schema
from jobfleet_backends.postgres.session_threads import MAX_BATCH, SessionThread
from jobfleet_backends.sql.operation_queue import Operation, OperationQueue
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_contracts.ports import Clock

T = TypeVar("T")
Row = tuple[Any, ...]

WRITE_SECONDS = 10.0
READ_SECONDS = 60.0
_WATCH_SECONDS = 0.5


class Database:
    """One schema of one database: threads that write with group commit, and threads that read.

    ``write``, ``index``, ``call`` and ``read`` return futures of the calling event loop and queue
    at once. What the index writes has a session of its own: it never delays a claim.

    Args:
        writers: sessions for writing: one transaction is put together while the other is committed.
            A caller that needs an order waits for the first answer before the second request.
        readers: sessions for reading.
        with_index: whether to hold a session for the index.
        seconds: longest wait for an answer to a write.
        must_fit: refuse sessions once another release has migrated the schema and shut this one
            out.
    """

    def __init__(
        self,
        *,
        address: Address,
        schema: str,
        clock: Clock,
        writers: int = 2,
        readers: int = 3,
        with_index: bool = True,
        seconds: float = WRITE_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        must_fit: bool = True,
    ) -> None:
        self._must_fit = must_fit
        self.address = address
        self.schema = schema
        self.clock = clock
        self._writes = OperationQueue(backend="PostgreSQL")
        self._index = OperationQueue(backend="PostgreSQL") if with_index else self._writes
        self._reads = OperationQueue(backend="PostgreSQL")
        self._is_closed = threading.Event()

        def thread(name: str, queue: OperationQueue, batch: int, seconds: float) -> SessionThread:
            return SessionThread(
                name=f"postgres-{name}",
                address=address,
                schema=schema,
                queue=queue,
                prepare=self._prepare,
                seconds=seconds,
                connect_seconds=connect_seconds,
                batch=batch,
                repeats=queue is self._index and with_index,
                reads=queue is self._reads,
            )

        # One operation at a time: what waits behind a slow search goes to another thread.
        most = min(seconds, READ_SECONDS) if seconds < WRITE_SECONDS else READ_SECONDS
        self._threads = [
            *(thread(f"writer-{n}", self._writes, MAX_BATCH, seconds) for n in range(writers)),
            *([thread("index", self._index, MAX_BATCH, seconds)] if with_index else []),
            *(thread(f"reader-{n}", self._reads, 1, most) for n in range(readers)),
        ]
        self._watch = threading.Thread(target=self._look_after, name="postgres-watch", daemon=True)

    def open(self) -> None:
        """Start the threads; sessions are opened when they are needed."""
        for thread in self._threads:
            thread.start()
        self._watch.start()

    def write(
        self,
        statement: BatchStatement[Item, Result],
        item: Item,
        *,
        notification: str | None = None,
    ) -> asyncio.Future[Result]:
        """Queue a request for the next transaction; its answer comes after the commit.

        Args:
            notification: payload of a notification that goes out right behind the commit.
        """
        return self._writes.post(Request(statement, item, notification))  # type: ignore[arg-type]

    def index(self, statement: BatchStatement[Item, Result], item: Item) -> asyncio.Future[Result]:
        """Like ``write``, on the session of the index."""
        return self._index.post(Request(statement, item))  # type: ignore[arg-type]

    def after_index(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Run an operation on the index's session, after all that is queued there."""
        return self._index.post(operation)

    def call(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Run an operation on the writer's session, which is in autocommit mode."""
        return self._writes.post(operation)

    def read(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Run an operation on committed data; it may run beside others."""
        return self._reads.post(operation)

    async def fetch(self, statement: str, *values: Any) -> list[Row]:
        """Return the rows of one question."""
        text = self.sql(statement)
        return await self.read(lambda session: session.execute(text, values).fetchall())

    async def fetch_as(self, decode: Callable[[Row], T], statement: str, *values: Any) -> list[T]:
        """Return what ``decode``, called in the reader's thread, makes of each row."""
        text = self.sql(statement)
        return await self.read(
            lambda session: [*map(decode, session.execute(text, values).fetchall())]
        )

    async def execute(self, statement: str, *values: Any) -> int:
        """Run one statement in a transaction of its own; return how many rows it changed."""
        text = self.sql(statement)
        return await self.call(lambda session: session.execute(text, values).rowcount)

    async def change(self, statement: str, *values: Any) -> list[Row]:
        """Run one statement in a transaction of its own; return its rows."""
        text = self.sql(statement)
        return await self.call(lambda session: session.execute(text, values).fetchall())

    async def check_version(self) -> None:
        """Look at the schema's version again, which is else looked at with each new session.

        Raises:
            ReleaseUnfit: another release has migrated the schema, which this one cannot work on.
        """

        def look(session: Session) -> None:
            check_version(read_version(session, self.schema), self.schema)

        await self.read(look)

    def sql(self, statement: str) -> str:
        """Return the statement with the names of this schema."""
        return in_schema(statement, self.schema)

    async def close(self) -> None:
        """Write what is queued, close sessions, join the threads. Safe to call twice."""
        for queue in (self._writes, self._index, self._reads):
            queue.close()
        for thread in self._threads:
            await in_own_thread(thread.join, name="close-threads")
        self._is_closed.set()

    def _prepare(self, session: Session) -> None:
        """Another release may have migrated the schema while the session was away."""
        set_up(session)
        if self._must_fit:
            check_version(read_version(session, self.schema), self.schema)

    def _look_after(self) -> None:
        while not self._is_closed.wait(_WATCH_SECONDS):
            for thread in self._threads:
                thread.watch()


def one_row(rows: Sequence[Row]) -> Row | None:
    """Return the first row, ``None`` if there is none."""
    return rows[0] if rows else None
