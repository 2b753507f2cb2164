"""Heads of an earlier time show what the chain alone does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import MASKED_SALT, Event
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.audit.heads import Head, HeadsCheck
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.trail.chain import chained
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of, tombstone_under
from tests.protocol.life import Life


def history() -> list[Event]:
    return Life().queued().started().step().completed().events


def found(head: Head, events: list[Event]) -> list[str]:
    return [violation.message for violation in HeadsCheck([head]).compare(events)]


def test_a_job_that_went_on_agrees_with_its_earlier_head() -> None:
    events = history()
    for length in range(1, len(events) + 1):
        assert found(Head.of(events[:length]), events) == []
    assert HeadsCheck([]).compare(events) == []


def test_a_missing_tail_is_found() -> None:
    events = history()
    assert verify_job(events[:-1]) == []
    assert found(Head.of(events), events[:-1]) == ["event 4 of the heads file is missing"]


def test_a_tail_written_anew_is_found() -> None:
    events = history()
    forged = [*events[:-1], chained(events[-2], replace(events[-1], message="?"))]
    assert verify_job(forged) == []
    assert "differs" in found(Head.of(events), forged)[0]


def test_a_job_that_is_gone_is_found_and_with_one_job_only_that_one() -> None:
    head = Head.of(history())
    check = HeadsCheck([head])
    assert [violation.job_id for violation in check.missing()] == [head.job_id]
    assert check.missing(only="another") == []


def test_a_removed_job_is_counted_and_its_own_head_agrees() -> None:
    events = history()
    seal = seal_of(tombstone_of(events[-1], events[-1], digest="d", message="m"), head=events[-1])
    stone = tombstone_under(seal)
    check = HeadsCheck([Head.of(events)])
    assert check.compare([stone]) == []
    assert check.removed == 1
    assert found(Head.of(events), [*events, seal]) == []
    later = HeadsCheck([Head.of([stone])])
    assert later.compare([stone]) == []
    assert later.removed == 0


def test_a_head_comes_back_from_its_line() -> None:
    head = Head.of(history())
    assert Head.from_json(head.to_json()) == head


@pytest.mark.parametrize("line", [None, [], {}, {"jobId": 1, "sequence": 1, "hash": ""}])
def test_another_line_is_refused(line: object) -> None:
    with pytest.raises(InvalidRequest, match="audit heads"):
        Head.from_json(line)


@pytest.mark.parametrize("raw", [True, False])
def test_an_export_is_checked_without_the_storage(raw: bool) -> None:
    rows = history() if raw else [replace(event, salt=MASKED_SALT) for event in history()]
    assert list(check_export(rows)) == []
    assert [v.sequence for v in check_export([rows[0], *rows[2:]])] == [3]
    changed = replace(rows[2], duration_ms=77)
    assert [v.sequence for v in check_export([*rows[:2], changed, rows[3]])] == [3]
