"""Statements that go to the server together: one round trip, and one transaction of their own.

They go straight to libpq. A cursor and psycopg's own pipeline cost three times its CPU time.
"""

from __future__ import annotations

import selectors
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer

from jobfleet_backends.postgres.connection import Session

Row = tuple[Any, ...]
Statement = tuple[str, tuple[str, ...]]
"""A statement whose values all are texts, and the values."""

_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # Windows has no poll


@dataclass(slots=True)
class Answers:
    """What the server answered.

    Attributes:
        rows: of each statement before the first that failed.
        error: of the first that failed, or of the commit; ``None``: all of them stand.
    """

    rows: list[list[Row]] = field(default_factory=list)
    error: psycopg.Error | None = None


class Pipeline:
    """The pipeline of one session, which prepares each statement when it is first sent.

    Args:
        session: of the server itself. A pooler may give what is sent next to another session.
    """

    def __init__(self, session: Session) -> None:
        self._pgconn = session.pgconn
        self._loaders = Transformer(session)
        self._names: dict[str, bytes] = {}
        self._prepared = 0
        self._selector = _Selector()
        self._selector.register(self._pgconn.socket, selectors.EVENT_READ)

    def forget(self) -> None:
        """Prepare all statements anew: the session has discarded what it had prepared."""
        self._names.clear()

    def send(self, statements: Sequence[Statement]) -> Answers:
        """Send statements, and wait for their answers.

        Raises:
            psycopg.Error: the session was lost. What was sent may have been carried out.
        """
        pgconn, prepared = self._pgconn, list[tuple[str, bytes] | None]()
        pgconn.enter_pipeline_mode()
        for sql, values in statements:
            name = self._names.get(sql)
            if name is None:
                self._prepared += 1
                name = f"jobfleet_{self._prepared}".encode()
                pgconn.send_prepare(name, _numbered(sql))
                prepared.append((sql, name))
            pgconn.send_query_prepared(name, [value.encode() for value in values])
            prepared.append(None)
        pgconn.pipeline_sync()
        self._flush()
        answers = self._receive(prepared)
        pgconn.exit_pipeline_mode()
        return answers

    def _receive(self, prepared: list[tuple[str, bytes] | None]) -> Answers:
        answers, place = Answers(), 0
        while True:
            result = self._next()
            if result is None:  # the end of what answers one statement
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return answers
            if answers.error is None and result.status not in _GOOD:
                answers.error = errors.error_from_result(result, encoding="utf-8")
            if answers.error is not None:
                continue
            new, place = prepared[place], place + 1
            if new is not None:
                self._names[new[0]] = new[1]
            else:
                answers.rows.append(self._rows(result))

    def _rows(self, result: Any) -> list[Row]:
        if not result.ntuples:
            return []
        self._loaders.set_pgresult(result)
        return self._loaders.load_rows(0, result.ntuples, tuple)

    def _next(self) -> Any:
        """Wait for the next result; other threads go on meanwhile."""
        pgconn = self._pgconn
        while pgconn.is_busy():
            self._selector.select()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None and pgconn.status == pq.ConnStatus.BAD:
            raise errors.OperationalError("the connection is lost")
        return result

    def _flush(self) -> None:
        """Send all, and read meanwhile: a server whose answers nobody reads reads no more."""
        pgconn = self._pgconn
        while pgconn.flush():
            self._selector.modify(pgconn.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            ready = self._selector.select()
            if any(mask & selectors.EVENT_READ for _, mask in ready):
                pgconn.consume_input()
            self._selector.modify(pgconn.socket, selectors.EVENT_READ)


def text_array(values: Sequence[str]) -> str:
    """Return texts as an array of PostgreSQL."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _numbered(sql: str) -> bytes:
    """Return the statement with the server's marks for values in the place of psycopg's."""
    first, *parts = sql.split("%s")
    return (first + "".join(f"${n}{part}" for n, part in enumerate(parts, 1))).encode()
