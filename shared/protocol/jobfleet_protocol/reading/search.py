"""The grammar of searches, the same on pages, in the API and on the command line.

A search is a list of words, and every word narrows it: ``type:crm.* -state:completed error:quota
worker:e0de queue:mail lock:customer-7 schedule:daily payload.customer:42 "any text"``. A minus
excludes. Quotes keep blanks together.

Events are searched in the same grammar. ``status:`` is theirs alone, ``error:`` is the message of
any failure, and ``worker:`` who wrote the event; lookup keys find jobs only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.job import TYPE_PATTERN
from jobfleet_contracts.json_check import check_characters
from jobfleet_contracts.lookup_keys import LOST_BY, PAYLOAD, PAYLOAD_KEY, SCHEDULE, normalised
from jobfleet_contracts.row_test import RowTest, TestedField
from jobfleet_contracts.state import DEAD, FAILURES, State, Status

MAX_WORDS = 20
MAX_VALUE = 200

_WORD = re.compile(
    r"""(?P<minus>-)?(?:(?P<field>[A-Za-z][A-Za-z0-9_.-]*):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>\S*))"""
)
_QUEUE = re.compile(r"[a-z0-9_-]{1,50}")
_ALL = frozenset(State)
_STATUSES = {status.value.lower(): status.value for status in Status}
Q = TypeVar("Q", JobQuery, EventQuery)


class SearchError(InvalidRequest):
    """One word of a search does not fit; ``start`` and ``end`` say which part of the text."""

    def __init__(self, word: Word, problem: str, *, field: str) -> None:
        super().__init__(
            f"{field}: at character {word.start + 1}, {word.text!r}: {problem}", field=field
        )
        self.problem = problem
        self.start, self.end = word.start, word.end


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was written.

    Attributes:
        name: its field's name, empty for free text.
        start, end: its place in the search.
    """

    text: str
    name: str
    value: str
    negated: bool
    start: int
    end: int


def narrow(query: JobQuery, search: str, *, field: str = "q") -> JobQuery:
    """Return the question narrowed by a search.

    Raises:
        SearchError: names the first word that does not fit, and the remedy.
    """
    for word in _few_words(search, field):
        query = _narrowed(query, word, _FIELDS, field)
    return query


def narrow_events(query: EventQuery, search: str, *, field: str = "q") -> EventQuery:
    """Return the question to the timeline narrowed by a search.

    Raises:
        SearchError: names the first word that does not fit, and the remedy.
    """
    for word in _few_words(search, field):
        query = _narrowed(query, word, _EVENT_FIELDS, field)
    return query


def _few_words(search: str, field: str) -> list[Word]:
    found = list(words(search))
    if len(found) > MAX_WORDS:
        raise SearchError(found[MAX_WORDS], f"at most {MAX_WORDS} words are searched", field=field)
    return found


def words(search: str) -> Iterator[Word]:
    """Yield the words of a search; an unclosed quote ends with the text."""
    place = 0
    while place < len(search):
        if search[place].isspace():
            place += 1
            continue
        match = _WORD.match(search, place)
        if match is None or match.end() == place:  # a blank begins the rest
            place += 1
            continue
        yield _word(match)
        place = match.end()


def _word(match: re.Match[str]) -> Word:
    quoted = match["quoted"]
    value = match["plain"] if quoted is None else quoted
    return Word(
        text=match[0],
        name=match["field"] or "",
        value=value.removeprefix('"') if quoted is None else value,
        negated=match["minus"] is not None,
        start=match.start(),
        end=match.end(),
    )


def _narrowed(query: Q, word: Word, fields: Mapping[str, Callable[[Q, Word], Q]], field: str) -> Q:
    def refuse(problem: str) -> SearchError:
        return SearchError(word, problem, field=field)

    if not word.value.strip():
        raise refuse(f"say what to search for after {word.name + ':' if word.name else 'it'!r}")
    if len(word.value) > MAX_VALUE:
        raise refuse(f"at most {MAX_VALUE} characters are searched for")
    try:
        check_characters(word.value, field=field)
        name = word.name.lower()
        return fields[PAYLOAD if name.startswith(PAYLOAD) else name](query, word)
    except KeyError:
        known = ", ".join(f"{name}:" for name in _names(fields))
        raise refuse(f"there is no field {word.name}:. Use {known} or quote the text") from None
    except InvalidRequest as error:
        raise refuse(str(error)) from None


def _state(query: Q, word: Word) -> Q:
    states = {state.value.lower(): state for state in State}
    named: set[State] = set()
    for name in word.value.split(","):
        if name.lower() not in states:
            raise InvalidRequest(f"a state is one of {', '.join(State)}")
        named.add(states[name.lower()])
    return _only(query, _ALL - named if word.negated else frozenset(named))


def _type(query: Q, word: Word) -> Q:
    if not TYPE_PATTERN.fullmatch(word.value.replace("*", "x")):
        raise InvalidRequest("a type holds letters, digits, '_', '-' and '.'; * stands for any")
    if "*" in word.value or word.negated or query.job_type is not None:
        return _tested(query, "type", word)
    return replace(query, job_type=word.value)


def _queue(query: JobQuery, word: Word) -> JobQuery:
    tested = _tested_queue(query, word)
    if word.negated or query.queue is not None:
        return tested
    return replace(query, queue=word.value.lower())


def _tested_queue(query: Q, word: Word) -> Q:
    if not _QUEUE.fullmatch(word.value.lower()):
        raise InvalidRequest("names of queues hold a-z, 0-9, _ and -")
    return _tested(query, "queue", word)


def _lock(query: JobQuery, word: Word) -> JobQuery:
    if word.negated or query.lock_key is not None:
        return _tested(query, "lock", word)
    return replace(query, lock_key=word.value)


def _error(query: JobQuery, word: Word) -> JobQuery:
    query = _tested(query, "error", word)
    return query if word.negated else _only(query, DEAD)


def _failure(query: EventQuery, word: Word) -> EventQuery:
    query = _tested(query, "error", word)
    return query if word.negated else _only_statuses(query, frozenset(FAILURES))


def _status(query: EventQuery, word: Word) -> EventQuery:
    named = frozenset(_status_of(name) for name in word.value.split(","))
    if not word.negated:
        return _only_statuses(query, named)
    if any(status not in _STATUSES.values() for status in named):
        raise InvalidRequest(f"exclude all steps, with -status:{Status.STEP}, or none")
    return _only_statuses(query, frozenset(_STATUSES.values()) - named)


def _status_of(name: str) -> str:
    try:
        return _STATUSES.get(name.lower()) or str(Status.of(name) and name)
    except ValueError:
        raise InvalidRequest(f"a status is one of {', '.join(Status)}") from None


def _only_statuses(query: EventQuery, statuses: frozenset[str]) -> EventQuery:
    known = query.statuses or statuses
    both = known & statuses
    for one, other in ((known, statuses), (statuses, known)):
        if Status.STEP in one:
            both |= {status for status in other if status.startswith("Step ")}
    return replace(query, statuses=both or known, nothing=query.nothing or not both)


def _worker(query: Q, word: Word) -> Q:
    return _tested(query, "worker", word)


def _schedule(query: JobQuery, word: Word) -> JobQuery:
    return _keyed(query, word, SCHEDULE)


def _lost_by(query: JobQuery, word: Word) -> JobQuery:
    """Whole ids only: a worker's jobs are found by it, not tested one by one."""
    return _keyed(query, word, LOST_BY)


def _payload(query: JobQuery, word: Word) -> JobQuery:
    """Names of payload keys keep their case, as JSON does."""
    name = word.name[len(PAYLOAD) :]
    if not PAYLOAD_KEY.fullmatch(name):
        raise InvalidRequest(f"name a payload key after {PAYLOAD}, as {PAYLOAD}customer:42")
    return _keyed(query, word, f"{PAYLOAD}{name}")


def _keyed(query: JobQuery, word: Word, key: str) -> JobQuery:
    if word.negated:
        raise InvalidRequest("jobs are found by it, and cannot be excluded by it")
    value = normalised(word.value)
    if value is None:
        raise InvalidRequest(f"at most {MAX_VALUE} characters are indexed")
    other = query.keys.get(key, value) != value
    return replace(query, keys={**query.keys, key: value}, nothing=query.nothing or other)


def _text(query: JobQuery, word: Word) -> JobQuery:
    if word.negated or query.text is not None:
        return _tested(query, "text", word)
    return replace(query, text=word.value)


def _tested_text(query: EventQuery, word: Word) -> EventQuery:
    return _tested(query, "text", word)


def _tested_lock(query: EventQuery, word: Word) -> EventQuery:
    return _tested(query, "lock", word)


def _of_jobs(_query: EventQuery, _word: Word) -> EventQuery:
    """Lookup keys lead to jobs, not to events."""
    raise InvalidRequest("events are not found by it; search jobs for it, and open one")


_FIELDS: Mapping[str, Callable[[JobQuery, Word], JobQuery]] = {
    "": _text,
    "type": _type,
    "state": _state,
    "error": _error,
    "worker": _worker,
    "queue": _queue,
    "lock": _lock,
    "schedule": _schedule,
    "lostby": _lost_by,
    PAYLOAD: _payload,
}
_EVENT_FIELDS: Mapping[str, Callable[[EventQuery, Word], EventQuery]] = {
    "": _tested_text,
    "type": _type,
    "status": _status,
    "state": _state,
    "error": _failure,
    "worker": _worker,
    "queue": _tested_queue,
    "lock": _tested_lock,
    "schedule": _of_jobs,
    "lostby": _of_jobs,
    PAYLOAD: _of_jobs,
}


def _names(fields: Mapping[str, Callable[[Q, Word], Q]]) -> tuple[str, ...]:
    """Return the names of fields as people read them."""
    shown = (name for name, narrows in fields.items() if name and narrows is not _of_jobs)
    return tuple(f"{PAYLOAD}KEY" if name == PAYLOAD else name for name in shown)


FIELD_NAMES = _names(_FIELDS)
EVENT_FIELD_NAMES = _names(_EVENT_FIELDS)


def _tested(query: Q, name: TestedField, word: Word) -> Q:
    test = RowTest(name, word.value.casefold(), word.negated)
    return replace(query, tests=(*query.tests, test))


def _only(query: Q, states: frozenset[State]) -> Q:
    left = (query.states or _ALL) & states
    return replace(query, states=left or query.states, nothing=query.nothing or not left)
