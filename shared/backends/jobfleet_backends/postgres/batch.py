"""Statements that take many callers' requests at once, as one JSON parameter.

All of one kind that wait when a transaction begins go to the server together. ``json_to_recordset``
makes rows of them: one prepared statement fits any number, and one round trip serves them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson

from jobfleet_contracts.errors import BackendError

Item = TypeVar("Item")
Result = TypeVar("Result")
Row = tuple[Any, ...]
Fields = dict[str, Any]


class PartlyWritten(Exception):
    """Some rows of an all-or-none request were written and some not: undo the transaction."""


@dataclass(frozen=True, slots=True)
class BatchStatement(Generic[Item, Result]):
    """One kind of write.

    Attributes:
        rank: statements of one transaction run in this order. All processes keep it, and each
            statement locks its rows in the order of their keys, so they never wait in a circle.
        sql: takes the rows of all requests as JSON; the first column of what it returns is ``n``,
            the number of the request.
        rows: makes the rows of one request, without ``n``.
        outcome: makes a request's answer of the rows with its ``n``, without ``n``. It raises a
            ``BackendError`` for a refusal that has written nothing.
        key: requests with the same key never stand in one transaction: the later one waits.
        lock: name of the row of ``locks`` that a request changes. A transaction locks all of them
            in the order of their names, before its first statement.
        may_lag: a crash of the server may take the change back; the caller that needs it repeats
            it. A durable commit after it makes it durable too. Transactions of these alone do not
            wait for the disk.
        may_tear: whether some rows of a request may be written and some not, so that its outcome
            must be known before the commit.
    """

    rank: int
    sql: str
    rows: Callable[[Item], Sequence[Fields]]
    outcome: Callable[[Item, list[Row]], Result]
    key: Callable[[Item], Hashable] | None = None
    lock: Callable[[Item], str] | None = None
    may_lag: bool = False
    may_tear: Callable[[Item], bool] | None = None


@dataclass(frozen=True, slots=True)
class Request(Generic[Item, Result]):
    """One caller's request.

    Attributes:
        notification: payload of a notification that goes out right behind the commit.
    """

    statement: BatchStatement[Item, Result]
    item: Item
    notification: str | None = None


@dataclass(slots=True)
class Group:
    """The requests of one statement in one transaction."""

    statement: BatchStatement[Any, Any]
    places: list[int] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    notifications: set[str] = field(default_factory=set)

    @property
    def may_tear(self) -> bool:
        """Whether a request may be written in part."""
        may_tear = self.statement.may_tear
        return may_tear is not None and any(map(may_tear, self.items))

    def parameter(self) -> str:
        """Return the rows of all requests as JSON."""
        rows = [
            {"n": n, **fields}
            for n, item in enumerate(self.items)
            for fields in self.statement.rows(item)
        ]
        return orjson.dumps(rows).decode()

    def outcomes(self, rows: Sequence[Row]) -> list[tuple[int, Any, BackendError | None]]:
        """Return each request's place with its answer or refusal.

        Raises:
            PartlyWritten: nothing of this transaction may be kept.
        """
        of: defaultdict[int, list[Row]] = defaultdict(list)
        for n, *values in rows:
            of[n].append(tuple(values))
        answers: list[tuple[int, Any, BackendError | None]] = []
        for n, (place, item) in enumerate(zip(self.places, self.items, strict=True)):
            try:
                answers.append((place, self.statement.outcome(item, of[n]), None))
            except BackendError as refusal:
                answers.append((place, None, refusal))
        return answers


def locks_of(groups: Sequence[Group]) -> list[str]:
    """Return the names of all locks that the groups change."""
    return sorted(
        {
            group.statement.lock(item)
            for group in groups
            if group.statement.lock is not None
            for item in group.items
        }
    )


def grouped(requests: Sequence[Request[Any, Any]]) -> tuple[list[Group], list[int]]:
    """Return the groups in the order of their ranks, and the places of those that must wait."""
    groups: dict[int, Group] = {}
    keys: set[tuple[int, Hashable]] = set()
    waiting: list[int] = []
    for place, request in enumerate(requests):
        statement = request.statement
        if statement.key is not None:
            key = (id(statement), statement.key(request.item))
            if key in keys:
                waiting.append(place)
                continue
            keys.add(key)
        group = groups.setdefault(id(statement), Group(statement))
        group.places.append(place)
        group.items.append(request.item)
        if request.notification is not None:
            group.notifications.add(request.notification)
    return sorted(groups.values(), key=lambda group: group.statement.rank), waiting
