"""Threads that own a session each, and open it again when it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from jobfleet_backends.postgres.batch import Group, PartlyWritten, Request, grouped, locks_of
from jobfleet_backends.postgres.connection import SEARCH_PATH, Address, Session, cut, is_alive
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_backends.postgres.pipeline import Answers, Pipeline, Row, Statement, text_array
from jobfleet_backends.postgres.schema import in_schema
from jobfleet_backends.sql.operation_queue import Answer, OperationQueue, QueuedOperation, deliver
from jobfleet_contracts.errors import BackendForbidden, BackendUnavailable

MAX_BATCH = 512
_PAUSE_SECONDS = 1.0
"""After a session could not be opened, callers get its error for so long without another try."""
_IDLE_SECONDS = 0.5
"""A session that was idle for longer may have been ended by its server."""
NOTIFY = "SELECT pg_notify(%s, payload) FROM pg_catalog.unnest(%s::text[]) AS payload"
_BEGIN: Statement = ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", ())
_COMMIT: Statement = ("COMMIT", ())
# A session that waits for another transaction's row gives up before the server looks for deadlocks,
# after a second. So the server never ends a user's transaction for it. Each statement has an index
# to go by. A plan that was made while its table was empty would read the whole table, until the
# server has counted the rows that came since. A plan that has no index to go by seems so costly
# then that the server would compile it.
_SETTINGS = """set_config('lock_timeout', '500ms', {local}),
    set_config('enable_seqscan', 'off', {local}), set_config('jit', 'off', {local})"""
_SET_SESSION = f"""
SELECT set_config('default_transaction_isolation', 'read committed', false),
    {_SETTINGS.format(local="false")}
"""
_SET_POOLED = f"""
SELECT {SEARCH_PATH.format(local="true")}, set_config('synchronous_commit',
    replace(current_setting('synchronous_commit'), 'off', 'on'), true),
    {_SETTINGS.format(local="true")}
"""
_LAG = "SELECT set_config('synchronous_commit', 'off', true)"
_LOCK = "SELECT 1 FROM jobfleet.locks WHERE lock = ANY(%s::text[]) ORDER BY lock FOR UPDATE"


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
        self._pipeline: Pipeline | None = None
        """Sends for the session; ``None`` behind a pooler."""
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
            self._pipeline = None
            if not self._reads and not _is_pooled(self._session):
                self._session.execute(_SET_SESSION)
                self._pipeline = Pipeline(self._session)
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
                answers += self._repeated(session, groups, queued)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers' answer
                self._roll_back(session)
                if session.closed or len(now) == 1:
                    # The session may have been lost in the commit: it must not be sent again here.
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

    def _repeated(
        self, session: Session, groups: list[Group], queued: Sequence[QueuedOperation]
    ) -> list[Answer]:
        """Run a transaction, again if the session has lost what it had prepared."""
        try:
            return self._transaction(session, groups, queued)
        except psycopg.errors.InvalidSqlStatementName:
            # psycopg discards all statements of a session with each roll-back. Nothing was carried
            # out: the first statement has failed.
            self._roll_back(session)
            if self._pipeline is not None:
                self._pipeline.forget()
            return self._transaction(session, groups, queued)

    def _transaction(
        self, session: Session, groups: list[Group], queued: Sequence[QueuedOperation]
    ) -> list[Answer]:
        """Send all statements and the commit at once, in one round trip.

        Where a request may be written in part, look at the answers before the commit.
        """
        is_sure = not any(group.may_tear for group in groups)
        notifications = sorted({each for group in groups for each in group.notifications})
        # What one pipeline sends is one transaction, which its end commits.
        ends_itself = is_sure and not notifications and not _is_pooled(session)
        before = [] if ends_itself else [_BEGIN]
        before += self._settings(session, groups)
        writes = [
            (in_schema(group.statement.sql, self._schema), (group.parameter(),)) for group in groups
        ]
        after = self._commit(notifications) if is_sure and not ends_itself else []
        rows = self._send(session, [*before, *writes, *after])[len(before) :]
        answers: list[Answer] = [
            (queued[place][1], value, refusal)
            for group, of_group in zip(groups, rows, strict=False)
            for place, value, refusal in group.outcomes(of_group)
        ]
        if not is_sure:
            self._send(session, self._commit(notifications))
        return answers

    def _settings(self, session: Session, groups: list[Group]) -> list[Statement]:
        """Return what goes before the statements of a transaction."""
        statements: list[Statement] = [(_SET_POOLED, ())] if _is_pooled(session) else []
        if all(group.statement.may_lag for group in groups):
            statements.append((_LAG, ()))
        # The statements that change locks come first by their rank. So one lock has its order.
        if len(locks := locks_of(groups)) > 1:
            statements.append((in_schema(_LOCK, self._schema), (text_array(locks),)))
        return statements

    def _commit(self, notifications: list[str]) -> list[Statement]:
        """Return what commits, and sends notifications right behind it.

        They are a transaction of their own. If they fail, the commit stands.
        """
        notify = (NOTIFY, (channel_of(self._schema), text_array(notifications)))
        return [_COMMIT, notify] if notifications else [_COMMIT]

    def _send(self, session: Session, statements: list[Statement]) -> list[list[Row]]:
        """Send all in one round trip; return the rows of each.

        If the commit stands and the notification behind it failed, the session is ended: workers
        look by themselves.
        """
        pipeline = self._pipeline
        answers = _piped(session, statements) if pipeline is None else pipeline.send(statements)
        if answers.error is None:
            return answers.rows
        if _COMMIT not in statements[: len(answers.rows)]:
            raise answers.error
        session.close()
        return answers.rows

    def _roll_back(self, session: Session) -> None:
        """No transaction may stay open; a session that cannot even do that is ended."""
        try:
            if not session.closed:
                session.rollback()
        except psycopg.Error:
            session.close()


def _piped(session: Session, statements: list[Statement]) -> Answers:
    """Send all through psycopg, which prepares nothing behind a pooler."""
    cursors: list[psycopg.Cursor[Row]] = []
    answers = Answers()
    try:
        with session.pipeline():
            cursors += [session.execute(sql, values or None) for sql, values in statements]
    except psycopg.Error as error:
        answers.error = error
    for cursor in cursors:
        if cursor.pgresult is None or cursor.statusmessage is None:
            break  # skipped after an error
        answers.rows.append(cursor.fetchall() if cursor.description else [])
    return answers


def _is_pooled(session: Session) -> bool:
    """Whether the session keeps nothing that a transaction sets."""
    return session.prepare_threshold is None


def _is_lost(answer: Answer) -> bool:
    return isinstance(answer[2], BackendUnavailable | BackendForbidden)


def _unanswered(queued: list[QueuedOperation], answers: list[Answer]) -> list[QueuedOperation]:
    lost = {id(answer[0]) for answer in answers if _is_lost(answer)}
    return [each for each in queued if id(each[1]) in lost]
