"""The grammar of searches, the same on pages, in the API and on the command line.

A search is a list of words, and every word narrows it: ``type:crm.* -state:completed error:quota
worker:e0de queue:mail lock:customer-7 schedule:daily payload.customer:42 "any text"``. A minus
excludes. Quotes keep blanks together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import TYPE_PATTERN
from jobfleet_contracts.json_check import check_characters
from jobfleet_contracts.lookup_keys import PAYLOAD, PAYLOAD_KEY, SCHEDULE, normalised
from jobfleet_contracts.row_test import RowTest, TestedField
from jobfleet_contracts.state import DEAD, State

MAX_WORDS = 20
MAX_VALUE = 200

_WORD = re.compile(
    r"""(?P<minus>-)?(?:(?P<field>[A-Za-z][A-Za-z0-9_.-]*):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>\S*))"""
)
_QUEUE = re.compile(r"[a-z0-9_-]{1,50}")
_ALL = frozenset(State)


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
        name: of its field, empty for free text.
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
    found = list(words(search))
    if len(found) > MAX_WORDS:
        raise SearchError(found[MAX_WORDS], f"at most {MAX_WORDS} words are searched", field=field)
    for word in found:
        query = _narrowed(query, word, field)
    return query


def words(search: str) -> Iterator[Word]:
    """Yield the words of a search; a quote that nobody closes ends with the text."""
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


def _narrowed(query: JobQuery, word: Word, field: str) -> JobQuery:
    def refuse(problem: str) -> SearchError:
        return SearchError(word, problem, field=field)

    if not word.value.strip():
        raise refuse(f"say what to search for after {word.name + ':' if word.name else 'it'!r}")
    if len(word.value) > MAX_VALUE:
        raise refuse(f"at most {MAX_VALUE} characters are searched for")
    try:
        check_characters(word.value, field=field)
        if word.name.lower().startswith(PAYLOAD):
            return _payload(query, word)
        return _FIELDS[word.name.lower()](query, word)
    except KeyError:
        known = ", ".join(f"{name}:" for name in FIELD_NAMES)
        raise refuse(f"there is no field {word.name}:. Use {known} or quote the text") from None
    except InvalidRequest as error:
        raise refuse(str(error)) from None


def _state(query: JobQuery, word: Word) -> JobQuery:
    states = {state.value.lower(): state for state in State}
    named: set[State] = set()
    for name in word.value.split(","):
        if name.lower() not in states:
            raise InvalidRequest(f"a state is one of {', '.join(State)}")
        named.add(states[name.lower()])
    return _only(query, _ALL - named if word.negated else frozenset(named))


def _type(query: JobQuery, word: Word) -> JobQuery:
    if not TYPE_PATTERN.fullmatch(word.value.replace("*", "x")):
        raise InvalidRequest("a type holds letters, digits, '_', '-' and '.'; * stands for any")
    if "*" in word.value or word.negated or query.job_type is not None:
        return _tested(query, "type", word)
    return replace(query, job_type=word.value)


def _queue(query: JobQuery, word: Word) -> JobQuery:
    if not _QUEUE.fullmatch(word.value.lower()):
        raise InvalidRequest("names of queues hold a-z, 0-9, _ and -")
    if word.negated or query.queue is not None:
        return _tested(query, "queue", word)
    return replace(query, queue=word.value.lower())


def _lock(query: JobQuery, word: Word) -> JobQuery:
    if word.negated or query.lock_key is not None:
        return _tested(query, "lock", word)
    return replace(query, lock_key=word.value)


def _error(query: JobQuery, word: Word) -> JobQuery:
    query = _tested(query, "error", word)
    return query if word.negated else _only(query, DEAD)


def _worker(query: JobQuery, word: Word) -> JobQuery:
    return _tested(query, "worker", word)


def _schedule(query: JobQuery, word: Word) -> JobQuery:
    return _keyed(query, word, SCHEDULE)


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


_FIELDS: Mapping[str, Callable[[JobQuery, Word], JobQuery]] = {
    "": _text,
    "type": _type,
    "state": _state,
    "error": _error,
    "worker": _worker,
    "queue": _queue,
    "lock": _lock,
    "schedule": _schedule,
}
FIELD_NAMES = (*(name for name in _FIELDS if name), f"{PAYLOAD}KEY")


def _tested(query: JobQuery, name: TestedField, word: Word) -> JobQuery:
    test = RowTest(name, word.value.casefold(), word.negated)
    return replace(query, tests=(*query.tests, test))


def _only(query: JobQuery, states: frozenset[State]) -> JobQuery:
    left = (query.states or _ALL) & states
    return replace(query, states=left or query.states, nothing=query.nothing or not left)
