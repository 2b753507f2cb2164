"""Conditions of lists, in SQLite's SQL."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_backends.sql.list_conditions import Condition, Dialect
from jobfleet_backends.sqlite.page_query import between
from jobfleet_contracts.index import id_tail
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import DEAD


class SqliteConditions(Dialect):
    """Text is compared by ``casefold``, a function of our connections."""

    @property
    def dead(self) -> Condition:
        return "state IN ('failed', 'timedOut') AND dismissed = 0", ()

    def between(
        self, column: str, since: str | None, until: str | None, cursor: str | None
    ) -> list[Condition]:
        return between(column, since, until, cursor)

    def equals(self, column: str, value: str) -> Condition:
        return f"{column} = ?", (value,)

    def one_of(self, column: str, values: Sequence[str]) -> Condition:
        return f"{column} IN ({', '.join('?' * len(values))})", tuple(values)

    def of_type(self, job_type: str) -> Condition:
        return "job_type = ? COLLATE NOCASE", (job_type,)

    def mentions(self, text: str, id_tail: str | None) -> Condition:
        if id_tail is None:
            return "instr(search, ?) > 0", (text,)
        return "(instr(search, ?) > 0 OR substr(job_id, -8) = ?)", (text, id_tail)

    def of_job(self, test: RowTest) -> Condition:
        value, states = test.value, ", ".join(f"'{state}'" for state in sorted(DEAD))
        match test.field:
            case "text":
                text, values = self.mentions(value, id_tail(value))
            case "type":
                text, values = "casefold(job_type) GLOB ?", (_only_stars(value),)
            case "error":
                text, values = (
                    f"(state IN ({states}) AND instr(casefold(message), ?) > 0)",
                    (value,),
                )
            case "worker":
                text, values = "instr(casefold(claimed_by), ?) > 0", (value,)
            case "queue":
                text, values = "queue = ?", (value,)
            case "lock":
                text, values = "casefold(coalesce(lock_key, '')) = ?", (value,)
        return (f"NOT coalesce({text}, 0)" if test.negated else text), values

    def of_event(self, test: RowTest) -> Condition:
        match test.field:
            case "text":
                mentions = "instr(casefold(job_name), ?) > 0 OR instr(casefold(lock_key), ?) > 0"
                text = f"({mentions} OR job_id = ? OR substr(job_id, -8) = ?)"
                values: tuple[str, ...] = (test.value,) * 4
            case "worker":
                text, values = "instr(casefold(worker_id), ?) > 0", (test.value,)
            case _:
                return self.of_job(test)
        return (f"NOT coalesce({text}, 0)" if test.negated else text), values


def _only_stars(pattern: str) -> str:
    return pattern.replace("[", "[[]").replace("?", "[?]")
