"""Conditions of a search that are tested row by row: texts match in any case."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Literal

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.short_text_cache import keep_for_short_texts
from jobfleet_contracts.state import DEAD

if TYPE_CHECKING:
    from jobfleet_contracts.index import JobRow

TestedField = Literal["text", "type", "error", "worker", "queue", "lock"]


@dataclass(frozen=True, slots=True)
class RowTest:
    """One condition.

    Attributes:
        field: ``text`` is job name, lock key, the id or its last eight characters; ``error`` the
            last message, as it is shown, of a job that failed or timed out; ``worker`` who claimed
            it last.
        value: casefolded. For ``type`` a pattern in which ``*`` stands for anything; for ``queue``
            and ``lock`` the whole name; for the others a part of it.
    """

    field: TestedField
    value: str
    negated: bool = False

    def lets_through(self, row: JobRow) -> bool:
        """Whether the row belongs to what is searched for."""
        return _MATCHES[self.field](row, self.value) != self.negated


def _in_text(row: JobRow, value: str) -> bool:
    facts = row.facts
    return (
        value in facts.job_name.casefold()
        or value in (facts.lock_key or "").casefold()
        or value in (facts.job_id, facts.job_id[-8:])
    )


def _is_type(row: JobRow, value: str) -> bool:
    return _pattern(value).fullmatch(row.facts.job_type.casefold()) is not None


def _in_error(row: JobRow, value: str) -> bool:
    # As it is shown: a search of the raw text would tell a credential letter by letter.
    return row.state in DEAD and value in masked_text(row.message).casefold()


def _in_worker(row: JobRow, value: str) -> bool:
    return value in (row.worker_id or "").casefold()


def _is_queue(row: JobRow, value: str) -> bool:
    return row.facts.queue.casefold() == value


def _is_lock(row: JobRow, value: str) -> bool:
    return (row.facts.lock_key or "").casefold() == value


@keep_for_short_texts(256)
def _pattern(value: str) -> re.Pattern[str]:
    """Only ``*`` is special: a type has no ``?`` and no brackets."""
    return re.compile(translate(value.replace("[", "[[]").replace("?", "[?]")))


_MATCHES: Mapping[TestedField, Callable[[JobRow, str], bool]] = {
    "text": _in_text,
    "type": _is_type,
    "error": _in_error,
    "worker": _in_worker,
    "queue": _is_queue,
    "lock": _is_lock,
}
