"""Threads that own a session each, and open it again when it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from jobfleet_backends.postgres.batch import Group, PartlyWritten, Request, grouped, locks_of
from jobfleet_backends.postgres.connection import Address, Session, cut, is_alive
from jobfleet_backends.postgres.schema import in_schema
from jobfleet_backends.sql.operation_queue import Answer, OperationQueue, QueuedOperation, deliver
from jobfleet_contracts.errors import BackendForbidden, BackendUnavailable

MAX_BATCH = 512
_PAUSE_SECONDS = 1.0
"""After a session could not be opened, callers get its error for so long without another try."""
_IDLE_SECONDS = 0.5
"""A session that was idle for longer may have been ended by its server."""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
# A session that waits for another transaction's row gives up before the server looks for deadlocks,
# after a second. So the server never ends a user's transaction for it. Each statement has an index
# to go by. A plan that was made while its table was empty would read the whole table, until the
# server has counted the rows that came since.
_SET = """
SELECT set_config('lock_timeout', '500ms', true), set_config('enable_seqscan', 'off', true),
    set_config('synchronous_commit',
        replace(current_setting('synchronous_commit'), 'off', 'on'), true)
"""
_SET_LAGGING = """
SELECT set_config('lock_timeout', '500ms', true), set_config('enable_seqscan', 'off', true),
    set_config('synchronous_commit', 'off', true)
"""
_LOCK = "SELECT 1 FROM jobfleet.locks WHERE lock = ANY(%s) ORDER BY lock FOR UPDATE"


class SessionThread:
    """One thread with one session; takes operations from a queue until it is closed.

    Args:
        prepare: looks at each new session; what it raises is the callers' answer.
        seconds: an answer that takes longer ends the session: its callers get
            ``BackendUnavailable``, which never means "not done".
        repeats: whether what was not answered is sent again until it is, or the queue is closed.
            Only for statements that may be repeated after anything.
        reads: whether all operations only read: each is repeated once if its session was lost.
    """

    def __init__(
        self,
        *,
        name: str,
        address: Address,
        schema: str,
        queue: OperationQueue,
        prepare: Callable[[Session], None],
        seconds: float,
        connect_seconds: float,
        batch: int,
        repeats: bool,
        reads: bool,
    ) -> None:
        self._address = address
        self._schema = schema
        self._queue = queue
        self._prepare = prepare
        self._seconds = seconds
        self._connect_seconds = connect_seconds
        self._batch = batch
        self._repeats = repeats
        self._reads = reads
        self._session: Session | None = None
        self._refused: tuple[float, BaseException] | None = None
        self._busy_since: float | None = None
        self._answered_at = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; it is a daemon, so that an unclosed backend ends with its process."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the closed queue is worked off and the session is closed."""
        self._thread.join()

    def watch(self) -> None:
        """End the session if its server has not answered for too long; called now and then."""
        session = self._session
        if session is not None and self._is_late():
            cut(session)

    def _run(self) -> None:
        while queued := self._queue.take(self._batch):
            answers = self._timed(queued)
            while self._repeats and (lost := _unanswered(queued, answers)):
                deliver(answer for answer in answers if not _is_lost(answer))
                if self._queue.is_closed:
                    break
                time.sleep(_PAUSE_SECONDS)
                queued, answers = lost, self._timed(lost)
            deliver(answers)
        if self._session is not None:
            self._session.close()

    def _timed(self, queued: list[QueuedOperation]) -> list[Answer]:
        self._busy_since = time.monotonic()
        answers = self._answer(queued)
        self._busy_since = None
        self._answered_at = time.monotonic()
        return answers

    def _answer(self, queued: list[QueuedOperation]) -> list[Answer]:
        try:
            session = self._open()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the callers' answer
            return [(future, None, error) for _, future in queued]
        requests = [each for each in queued if isinstance(each[0], Request)]
        answers = self._write(session, requests) if requests else []
        for operation, future in queued:
            if not isinstance(operation, Request):
                answers.append(self._call(session, operation, future))
        return answers

    def _open(self) -> Session:
        session = self._session
        was_idle = time.monotonic() - self._answered_at > _IDLE_SECONDS
        if session is not None and (is_alive(session) if was_idle else not session.closed):
            return session
        if self._refused is not None and time.monotonic() < self._refused[0]:
            raise self._refused[1]
        try:
            self._session = self._address.connect(seconds=self._connect_seconds)
            self._prepare(self._session)
        except BaseException as error:
            problem = self._address.explain(error)
            self._refused = (time.monotonic() + _PAUSE_SECONDS, problem)
            if self._session is not None:
                self._session.close()
            raise problem from error
        self._refused = None
        return self._session

    def _call(self, session: Session, operation: Any, future: Any) -> Answer:
        try:
            return future, operation(session), None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            self._roll_back(session)
            if not (self._reads and session.closed) or self._is_late():
                return future, None, self._explain(error)
        try:  # a question changes nothing: it is put once more, on another session
            return future, operation(self._open()), None
        except Exception as error:  # noqa: BLE001 - likewise
            return future, None, self._explain(error)

    def _is_late(self) -> bool:
        """Whether the session was ended because its server was silent for too long."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._seconds

    def _write(self, session: Session, queued: Sequence[QueuedOperation]) -> list[Answer]:
        """Write all in one transaction; where one of them spoils it, each in its own."""
        answers: list[Answer] = []
        while queued:
            groups, waiting = grouped([operation for operation, _ in queued])
            held = set(waiting)
            now = [each for place, each in enumerate(queued) if place not in held]
            try:
                answers += self._transaction(session, groups, queued)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers' answer
                self._roll_back(session)
                if session.closed or len(now) == 1:
                    # The session may have been lost in the commit: nobody may send it again here.
                    problem = self._explain(error)
                    answers += [(future, None, problem) for _, future in now]
                else:
                    answers += [answer for each in now for answer in self._write(session, [each])]
            queued = [queued[place] for place in waiting]
        return answers

    def _explain(self, error: BaseException) -> BaseException:
        if isinstance(error, PartlyWritten) and error.__cause__ is not None:
            return error.__cause__
        return self._address.explain(error)

    def _transaction(
        self, session: Session, groups: list[Group], queued: Sequence[QueuedOperation]
    ) -> list[Answer]:
        """Send all statements and the commit at once, in one round trip.

        Where a request may be written in part, look at the answers before the commit.
        """
        is_sure = not any(group.may_tear for group in groups)
        with session.pipeline():
            session.execute(_BEGIN)
            may_lag = all(group.statement.may_lag for group in groups)
            session.execute(_SET_LAGGING if may_lag else _SET, prepare=True)
            if locks := locks_of(groups):
                session.execute(in_schema(_LOCK, self._schema), (locks,), prepare=True)
            cursors = [
                session.execute(
                    in_schema(group.statement.sql, self._schema),
                    (group.parameter(),),
                    prepare=True,
                )
                for group in groups
            ]
            if is_sure:
                session.execute("COMMIT")  # the server skips it after an error
        answers: list[Answer] = [
            (queued[place][1], value, refusal)
            for group, cursor in zip(groups, cursors, strict=True)
            for place, value, refusal in group.outcomes(cursor.fetchall())
        ]
        if not is_sure:
            session.execute("COMMIT")
        return answers

    def _roll_back(self, session: Session) -> None:
        """No transaction may stay open; a session that cannot even do that is ended."""
        try:
            if not session.closed:
                session.rollback()
        except psycopg.Error:
            session.close()


def _is_lost(answer: Answer) -> bool:
    return isinstance(answer[2], BackendUnavailable | BackendForbidden)


def _unanswered(queued: list[QueuedOperation], answers: list[Answer]) -> list[QueuedOperation]:
    lost = {id(answer[0]) for answer in answers if _is_lost(answer)}
    return [each for each in queued if id(each[1]) in lost]
