"""The grammar of searches: what words mean, and what is said of those that do not fit."""

from __future__ import annotations

import re

import pytest

from jobfleet_contracts.index import EventQuery, JobQuery
from jobfleet_contracts.row_test import RowTest
from jobfleet_contracts.state import DEAD, FAILURES, State
from jobfleet_protocol.reading.search import SearchError, narrow, narrow_events, words


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


def _of_events(search: str) -> EventQuery:
    return narrow_events(EventQuery(), search)


def test_events_are_searched_in_the_same_grammar() -> None:
    query = _of_events("type:crm.sync queue:Mail lock:K worker:E0DE status:started -state:failed x")
    assert query.job_type == "crm.sync"
    assert query.statuses == {"Started"}
    assert query.states == frozenset(State) - {State.FAILED}
    assert query.tests == (
        RowTest("queue", "mail"),
        RowTest("lock", "k"),
        RowTest("worker", "e0de"),
        RowTest("text", "x"),
    )
    assert _of_events("error:quota").statuses == FAILURES
    assert _of_events('status:step status:"Step 7"').statuses == {"Step 7"}
    assert _of_events("error:quota status:started").nothing
    assert "Step" not in _of_events("-status:step").statuses


@pytest.mark.parametrize(
    ("search", "word", "remedy"),
    [
        ("a schedule:daily", "schedule:daily", "search jobs for it"),
        ("payload.customer:7", "payload.customer:7", "search jobs for it"),
        ("status:gone", "status:gone", "a status is one of Queued"),
        ('-status:"Step 3"', '-status:"Step 3"', "exclude all steps"),
        (
            "stat:failed",
            "stat:failed",
            "Use type:, status:, state:, error:, worker:, queue:, lock:",
        ),
    ],
)
def test_an_error_in_a_search_of_events_points_at_the_word(
    search: str, word: str, remedy: str
) -> None:
    with pytest.raises(SearchError, match=re.escape(remedy)) as caught:
        _of_events(search)
    assert search[caught.value.start : caught.value.end] == word
