"""Which conditions of a list narrow the range that is read, and which are tested row by row.

An index answers the first kind. What each index holds is the same in both databases; how a
condition is written is not (:class:`Dialect`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from jobfleet_contracts.codec import format_optional_time
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import STEP, State

Condition = tuple[str, tuple[Any, ...]]


class Dialect(Protocol):
    """Writes conditions in the SQL of one database."""

    @property
    def dead(self) -> Condition:
        """Word for word what the index ``jobs_dead`` is about, so that it is used."""
        ...

    def between(
        self, column: str, since: str | None, until: str | None, cursor: str | None
    ) -> list[Condition]:
        """Rows from ``since`` on and before ``until``, behind the cursor."""
        ...

    def equals(self, column: str, value: str) -> Condition:
        """The very value."""
        ...

    def one_of(self, column: str, values: Sequence[str]) -> Condition:
        """One of these values."""
        ...

    def of_type(self, job_type: str) -> Condition:
        """Jobs of a type, in capitals or not."""
        ...

    def mentions(self, text: str, id_tail: str | None) -> Condition:
        """Jobs with this text in what is searched, or with this end of their id."""
        ...

    def of_job(self, test: RowTest) -> Condition:
        """A test of a row of ``jobs``."""
        ...

    def of_event(self, test: RowTest) -> Condition:
        """A test of a row of ``trail``."""
        ...


def event_ranges(sql: Dialect, query: EventQuery) -> list[list[Condition]]:
    """Return the ranges; each status has one of its own, since only so an index answers it."""
    since, until = format_optional_time(query.since), format_optional_time(query.until)
    times = sql.between("occurred_at", since, until, query.cursor)
    if query.job_name is not None:
        return [[sql.equals("job_name", query.job_name), *times]]
    if query.job_type is not None:
        return [[sql.of_type(query.job_type), *times]]
    if query.statuses and STEP not in query.statuses:
        return [[sql.equals("status", status), *times] for status in sorted(query.statuses)]
    return [times]


def event_tests(sql: Dialect, query: EventQuery) -> list[Condition]:
    """Return what the ranges of :func:`event_ranges` leave to be tested."""
    tests = [sql.of_event(test) for test in query.tests]
    named = query.job_name is not None
    if query.statuses and (named or query.job_type is not None or STEP in query.statuses):
        tests.append(_has_status(sql, query.statuses))
    if query.job_type is not None and named:
        tests.append(sql.of_type(query.job_type))
    if query.states:
        tests.append(_in_states(sql, query.states))
    return tests


def job_ranges(sql: Dialect, query: JobQuery) -> list[list[Condition]]:
    """Return the ranges; the condition that leaves the fewest rows comes first."""
    times = _changed(sql, query, query.cursor)
    states = sorted(state.value for state in query.states or frozenset(State))
    if query.error_group is not None:
        return [[sql.equals("error_group", query.error_group), *times]]
    if query.dead:
        return [[sql.dead, *times]]
    if _is_job_id(query.text):
        return [[_of_id(sql, query), *times]]
    if query.lock_key is not None:
        return [[sql.equals("lock_key", query.lock_key), *times]]
    if query.text is not None or query.queue is not None:
        return [times]
    if query.job_type is not None:
        of_type = sql.of_type(query.job_type)
        return [[of_type, sql.equals("state", state), *times] for state in states]
    if query.states:
        return [[sql.equals("state", state), *times] for state in states]
    return [times]


def job_tests(sql: Dialect, query: JobQuery) -> list[Condition]:
    """Return what the ranges of :func:`job_ranges` leave to be tested."""
    tests: list[Condition] = []
    by_id = _is_job_id(query.text)
    searched = query.text is not None or query.queue is not None or query.lock_key is not None
    searched = searched or query.dead or query.error_group is not None
    if query.error_group is not None:
        tests.append(sql.dead)
    if (query.dead or query.error_group is not None) and by_id:
        tests.append(_of_id(sql, query))
    if query.text is not None and not by_id:
        tests.append(sql.mentions(query.text.casefold(), query.id_tail))
    if query.lock_key is not None and (by_id or query.dead or query.error_group):
        tests.append(sql.equals("lock_key", query.lock_key))
    if query.queue is not None:
        tests.append(sql.equals("queue", query.queue))
    if query.job_type is not None and searched:
        tests.append(sql.of_type(query.job_type))
    tests += [sql.of_job(test) for test in query.tests]
    if query.states and searched:
        tests.append(_in_states(sql, query.states))
    return tests


def keyed_tests(sql: Dialect, query: JobQuery) -> list[Condition]:
    """Return all conditions but the payload's keys: none of them narrows a range here."""
    searched = replace(query, dead=query.dead or query.error_group is not None)
    tests = [*_changed(sql, query, None), *job_tests(sql, replace(searched, error_group=None))]
    if query.error_group is not None:
        tests.append(sql.equals("error_group", query.error_group))
    if searched.dead:
        tests.append(sql.dead)
    if _is_job_id(query.text):
        tests.append(_of_id(sql, query))
    if query.lock_key is not None:
        tests.append(sql.equals("lock_key", query.lock_key))
    if query.job_type is not None:
        tests.append(sql.of_type(query.job_type))
    if query.states:
        tests.append(_in_states(sql, query.states))
    return tests


def _changed(sql: Dialect, query: JobQuery, cursor: str | None) -> list[Condition]:
    since, until = format_optional_time(query.since), format_optional_time(query.until)
    return sql.between("updated_at", since, until, cursor)


def _of_id(sql: Dialect, query: JobQuery) -> Condition:
    return sql.equals("job_id", str(query.text).lower())


def _in_states(sql: Dialect, states: frozenset[State]) -> Condition:
    return sql.one_of("state", sorted(state.value for state in states))


def _has_status(sql: Dialect, statuses: frozenset[str]) -> Condition:
    text, values = sql.one_of("status", sorted(statuses - {STEP}))
    steps = " OR (status >= 'Step ' AND status < 'Step!')" if STEP in statuses else ""
    return f"({text}{steps})", values


def _is_job_id(text: str | None) -> bool:
    if text is None:
        return False
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
