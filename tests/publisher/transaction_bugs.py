"""Deliberate bugs in submits inside a user's own transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import psycopg

from jobfleet_backends.postgres import user_transactions
from jobfleet_backends.postgres.listener import channel_of
from jobfleet_backends.postgres.user_transactions import PostgresUserTransactions
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.transaction import Opened, Opening
from jobfleet_protocol.actions import transactional_submission
from jobfleet_protocol.actions.transactional_submission import TransactionalSubmission

Write = Callable[[PostgresUserTransactions, Any, Opening, str], Opened]
_ROWS = ("trail", "open_jobs", "jobs", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionBug:
    """A bug, the test of ``test_transactions.py`` that finds it, and how that test fails.

    Attributes:
        plant: takes the settings of the fleet.
        shows: the failure's name and the line of the test, or how both begin.
    """

    name: str
    plant: Callable[[dict[str, Any]], AbstractContextManager[Any]]
    test: str
    shows: str


def _written_by(change: Callable[[Write], Write]) -> AbstractContextManager[Any]:
    changed = change(PostgresUserTransactions.write)
    return patch.object(PostgresUserTransactions, "write", changed)


def _outside(*left: str) -> Callable[[dict[str, Any]], AbstractContextManager[Any]]:
    """Rows of these tables are written in a session of jobfleet's own, which commits at once."""

    def plant(flags: dict[str, Any]) -> AbstractContextManager[Any]:
        def change(write: Write) -> Write:
            def beside(
                self: PostgresUserTransactions, connection: Any, opening: Opening, fleet: str
            ) -> Opened:
                with psycopg.connect(flags["postgres_url"]) as own:
                    write(self, own, replace(opening, notify=False), fleet)
                    own.execute("SET session_replication_role = replica")  # rows can be deleted
                    for table in set(_ROWS) - set(left):
                        own.execute(f"DELETE FROM {flags['postgres_schema']}.{table}".encode())  # noqa: S608
                return write(self, connection, opening, fleet)

            return beside

        return _written_by(change)

    return plant


def _committed(_flags: dict[str, Any]) -> AbstractContextManager[Any]:
    """The submit commits the user's transaction."""

    def change(write: Write) -> Write:
        def finish(
            self: PostgresUserTransactions, connection: Any, opening: Opening, fleet: str
        ) -> Opened:
            opened = write(self, connection, opening, fleet)
            connection.commit()
            return opened

        return finish

    return _written_by(change)


def _statement(old: str, new: str) -> Callable[[dict[str, Any]], AbstractContextManager[Any]]:
    """The one statement that writes all has another text."""

    def plant(_flags: dict[str, Any]) -> AbstractContextManager[Any]:
        statement = user_transactions._WRITE
        assert old in statement
        return patch.object(user_transactions, "_WRITE", statement.replace(old, new))

    return plant


@contextmanager
def _aborted_by_a_refusal(_flags: dict[str, Any]) -> Iterator[None]:
    """A submit that finds a job under its key leaves a failed statement behind."""
    write = PostgresUserTransactions.write_async

    async def spoil(
        self: PostgresUserTransactions, connection: Any, opening: Opening, fleet: str
    ) -> Opened:
        opened = await write(self, connection, opening, fleet)
        if opened.first is not None:
            with suppress(psycopg.Error):
                await connection.execute("SELECT 1 / 0")
        return opened

    with patch.object(PostgresUserTransactions, "write_async", spoil):
        yield


def _any_body(_flags: dict[str, Any]) -> AbstractContextManager[Any]:
    return patch.object(transactional_submission, "check_same_body", lambda *_: None)


@contextmanager
def _key_left_out(_flags: dict[str, Any]) -> Iterator[None]:
    identified = TransactionalSubmission.identified

    def keyless(self: TransactionalSubmission, request: JobRequest, _key: str | None) -> JobRequest:
        return identified(self, request, None)

    with patch.object(TransactionalSubmission, "identified", keyless):
        yield


def _told_at_once(flags: dict[str, Any]) -> AbstractContextManager[Any]:
    """Workers are told by another session, before the user's transaction commits."""

    def change(write: Write) -> Write:
        def tell(
            self: PostgresUserTransactions, connection: Any, opening: Opening, fleet: str
        ) -> Opened:
            channel = channel_of(flags["postgres_schema"])
            with psycopg.connect(flags["postgres_url"], autocommit=True) as own:
                own.execute("SELECT pg_notify(%s, 'default')", [channel])
            return write(self, connection, opening, fleet)

        return tell

    return _written_by(change)


def _notified(*, notify: bool) -> Callable[[dict[str, Any]], AbstractContextManager[Any]]:
    def change(write: Write) -> Write:
        def tell(
            self: PostgresUserTransactions, connection: Any, opening: Opening, fleet: str
        ) -> Opened:
            return write(self, connection, replace(opening, notify=notify), fleet)

        return tell

    return lambda _flags: _written_by(change)


def _always_committed(_flags: dict[str, Any]) -> AbstractContextManager[Any]:
    async def committed(_self: PostgresUserTransactions, _transaction: str) -> str:
        return "committed"

    return patch.object(PostgresUserTransactions, "state", committed)


def _any_fleet(_flags: dict[str, Any]) -> AbstractContextManager[Any]:
    return patch.object(PostgresUserTransactions, "_check_fleet", lambda *_: None)


_COMMITS = "test_a_job_exists_if_and_only_if_its_transaction_commits"
_REFUSES = "test_another_body_is_refused_and_the_transaction_goes_on"
_TELLS = "test_workers_are_told_at_the_commit_only_where_the_submit_asks_for_it"
_NOTHING_IS_LEFT = "AssertionError: assert _stored(flags) == _NOTHING"
_ALL_IS_THERE = "AssertionError: assert _stored(flags) == _ONE_JOB"

TRANSACTION_BUGS = (
    TransactionBug(
        name="the job written in another session",
        plant=_outside(*_ROWS),
        test=_COMMITS,
        shows="AssertionError: assert ",
    ),
    TransactionBug(
        name="the open row written in another session",
        plant=_outside("open_jobs"),
        test=_COMMITS,
        shows=_NOTHING_IS_LEFT,
    ),
    TransactionBug(
        name="the message sent before the commit",
        plant=_outside("messages"),
        test=_COMMITS,
        shows=_NOTHING_IS_LEFT,
    ),
    TransactionBug(
        name="the job listed before the commit",
        plant=_outside("jobs"),
        test=_COMMITS,
        shows=_NOTHING_IS_LEFT,
    ),
    TransactionBug(
        name="the user's transaction committed by the submit",
        plant=_committed,
        test=_COMMITS,
        shows=_NOTHING_IS_LEFT,
    ),
    TransactionBug(
        name="a transaction without the message",
        plant=_statement("FROM made WHERE body IS NOT NULL", "FROM made WHERE false"),
        test=_COMMITS,
        shows=_ALL_IS_THERE,
    ),
    TransactionBug(
        name="a transaction without the open row",
        plant=_statement(
            "FROM made\n    ON CONFLICT (job_id, incarnation)",
            "FROM made WHERE false\n    ON CONFLICT (job_id, incarnation)",
        ),
        test=_COMMITS,
        shows=_ALL_IS_THERE,
    ),
    TransactionBug(
        name="a known key ends the transaction with an error of the server's",
        plant=_statement("ON CONFLICT (job_id, sequence) DO NOTHING", ""),
        test=_REFUSES,
        shows='UniqueViolation: await publisher.submit("demo.steps", {"a": 2}',
    ),
    TransactionBug(
        name="a refused body leaves the transaction aborted",
        plant=_aborted_by_a_refusal,
        test=_REFUSES,
        shows='InFailedSqlTransaction: await publisher.submit("demo.steps", {"a": 3}',
    ),
    TransactionBug(
        name="another body accepted for a known key, in a transaction",
        plant=_any_body,
        test=_REFUSES,
        shows="Failed: with pytest.raises(BodyConflict)",
    ),
    TransactionBug(
        name="the key left out in a transaction",
        plant=_key_left_out,
        test="test_the_same_key_in_a_transaction_is_the_same_job",
        shows="AssertionError: assert (first.created, again.created) == (True, False)",
    ),
    TransactionBug(
        name="workers told before the commit",
        plant=_told_at_once,
        test=_TELLS,
        shows="AssertionError: assert heard() == []",
    ),
    TransactionBug(
        name="workers told though the submit does not ask for it",
        plant=_notified(notify=True),
        test=_TELLS,
        shows="AssertionError: assert heard() == expected",
    ),
    TransactionBug(
        name="workers told by no commit",
        plant=_notified(notify=False),
        test=_TELLS,
        shows="AssertionError: assert heard() == expected",
    ),
    TransactionBug(
        name="an open transaction taken for committed",
        plant=_always_committed,
        test="test_a_wait_before_the_commit_is_refused_by_name",
        shows="UnknownJob: await ask()",
    ),
    TransactionBug(
        name="a restored copy taken for the fleet's database",
        plant=_any_fleet,
        test="test_a_restored_copy_of_the_fleets_database_is_another_database",
        shows="Failed: with pytest.raises(InvalidRequest",
    ),
)
"""Each breaks the promise that a job exists if, and only if, its transaction commits."""
