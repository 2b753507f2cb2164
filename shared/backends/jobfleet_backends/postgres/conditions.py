"""Conditions of lists, in PostgreSQL's SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobfleet_backends.postgres.page_query import between
from jobfleet_backends.sql.list_conditions import Condition, Dialect
from jobfleet_contracts.index import id_tail
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import DEAD

_ANY_CASE = 'COLLATE "default"'
"""Columns compare by bytes; the database knows letters beyond ASCII by its own collation."""


class PostgresConditions(Dialect):
    """Text is compared by ``lower``, in the collation of the database."""

    @property
    def dead(self) -> Condition:
        return "state IN ('failed', 'timedOut') AND NOT dismissed", ()

    def between(
        self, column: str, since: str | None, until: str | None, cursor: str | None
    ) -> list[Condition]:
        return between(column, since, until, cursor)

    def equals(self, column: str, value: str) -> Condition:
        return f"{column} = %s", (value,)

    def one_of(self, column: str, values: Sequence[str]) -> Condition:
        return f"{column} = ANY(%s)", (list(values),)

    def of_type(self, job_type: str) -> Condition:
        return "lower(job_type) = %s", (job_type.lower(),)

    def mentions(self, text: str, id_tail: str | None) -> Condition:
        if id_tail is None:
            return "strpos(search, %s) > 0", (text,)
        return "(strpos(search, %s) > 0 OR right(job_id, 8) = %s)", (text, id_tail)

    def of_job(self, test: RowTest) -> Condition:
        value = test.value
        values: tuple[Any, ...]
        match test.field:
            case "text":
                text, values = self.mentions(value, id_tail(value))
            case "type":
                text, values = "lower(job_type) LIKE %s", (_like(value),)
            case "error":
                text = f"(state = ANY(%s) AND strpos(lower(message {_ANY_CASE}), %s) > 0)"
                values = (sorted(DEAD), value)
            case "worker":
                text, values = "strpos(lower(claimed_by), %s) > 0", (value,)
            case "queue":
                text, values = "queue = %s", (value,)
            case "lock":
                text, values = f"lower(coalesce(lock_key, '') {_ANY_CASE}) = %s", (value,)
        return (f"NOT coalesce({text}, false)" if test.negated else text), values

    def of_event(self, test: RowTest) -> Condition:
        match test.field:
            case "text":
                name = f"strpos(lower(job_name {_ANY_CASE}), %s) > 0"
                key = f"strpos(lower(lock_key {_ANY_CASE}), %s) > 0"
                text = f"({name} OR {key} OR job_id = %s OR right(job_id, 8) = %s)"
                values: tuple[str, ...] = (test.value,) * 4
            case "worker":
                text, values = "strpos(lower(worker_id), %s) > 0", (test.value,)
            case _:
                return self.of_job(test)
        return (f"NOT coalesce({text}, false)" if test.negated else text), values


def _like(pattern: str) -> str:
    """Only ``*`` stands for anything; LIKE's own signs stand for themselves."""
    escaped = pattern.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    return escaped.replace("*", "%")
