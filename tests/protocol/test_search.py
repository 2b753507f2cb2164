"""The grammar of searches: what words mean, and what is said of those that do not fit."""

from __future__ import annotations

import pytest

from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import DEAD, State
from jobfleet_protocol.reading.search import SearchError, narrow, words


def _narrowed(search: str) -> JobQuery:
    return narrow(JobQuery(), search)


def test_every_word_narrows_the_search() -> None:
    query = _narrowed('type:crm.sync queue:mail lock:"customer 7" -state:completed "any text" more')
    assert (query.job_type, query.queue, query.lock_key) == ("crm.sync", "mail", "customer 7")
    assert query.states == frozenset(State) - {State.COMPLETED}
    assert (query.text, query.tests) == ("any text", (RowTest("text", "more"),))


def test_patterns_and_exclusions_are_tested_row_by_row() -> None:
    query = _narrowed("type:CRM.* -type:crm.old -queue:mail -lock:k worker:E0DE -error:Quota -gone")
    assert query.tests == (
        RowTest("type", "crm.*"),
        RowTest("type", "crm.old", negated=True),
        RowTest("queue", "mail", negated=True),
        RowTest("lock", "k", negated=True),
        RowTest("worker", "e0de"),
        RowTest("error", "quota", negated=True),
        RowTest("text", "gone", negated=True),
    )
    assert query.states == frozenset()


def test_an_error_is_searched_among_the_dead_and_states_exclude_each_other() -> None:
    assert _narrowed("error:quota").states == DEAD
    assert _narrowed("state:FAILED,timedout").states == DEAD
    assert _narrowed("state:failed state:running").nothing
    assert _narrowed("error:quota state:running").nothing


@pytest.mark.parametrize(
    ("search", "word", "remedy"),
    [
        ("a stat:failed", "stat:failed", "there is no field stat:. Use type:"),
        ("a state:lost b", "state:lost", "a state is one of scheduled"),
        ("queue:a/b", "queue:a/b", "names of queues"),
        ("type:[ab]", "type:[ab]", "a type holds"),
        ("-type:", "-type:", "say what to search for"),
        ('"  "', '"  "', "say what to search for"),
        ("x " * 20 + "last", "last", "at most 20 words"),
    ],
)
def test_an_error_points_at_the_word(search: str, word: str, remedy: str) -> None:
    with pytest.raises(SearchError) as caught:
        _narrowed(search)
    error = caught.value
    assert search[error.start : error.end] == word
    assert error.problem.startswith(remedy)
    assert (error.field, f"at character {error.start + 1}" in str(error)) == ("q", True)


def test_words_are_cut_where_blanks_stand_outside_of_quotes() -> None:
    found = [(word.name, word.value) for word in words('a:"b c" d-e  "f:g" "open end')]
    assert found == [("a", "b c"), ("", "d-e"), ("", "f:g"), ("", "open"), ("", "end")]
