"""A row that was changed after it was written is found by its hash, whatever was changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.event import Event, JobFacts, JobState
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.chain_check import check_chain
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.trail.chain import chained, row_hash
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of, tombstone_under
from tests.protocol.bench import Bench
from tests.protocol.life import NOON, Life

CHANGED = 3
"""Sequence of the row that is changed; rows stand before it and after it."""
_NOT_IN_A_ROW = {"facts", "after"}


def history() -> list[Event]:
    life = Life().queued().started()
    life.by_holder("Step 1", message="half", duration_ms=5, data={"result": {"rows": 12}})
    return life.step(2).completed().events


def another(value: Any) -> Any:
    """Return a value of the same kind that is not the same."""
    match value:
        case None:
            return "somebody"
        case State():
            return State.WAITING
        case bool():
            return not value
        case int():
            return value + 1
        case datetime():
            return value + timedelta(microseconds=1)
        case dict():
            return {"result": {"rows": 13}}
        case _:
            return f"{value}."


def changes() -> Iterator[tuple[str, str]]:
    """Name each column of a row: where it is held, and its name."""
    for where, kind in (("event", Event), ("after", JobState), ("facts", JobFacts)):
        for field in fields(kind):
            if field.name not in _NOT_IN_A_ROW and (where, field.name) != ("after", "sequence"):
                yield where, field.name


def changed(event: Event, where: str, name: str) -> Event:
    if where == "event":
        return replace(event, **{name: another(getattr(event, name))})
    part = getattr(event, where)
    value = getattr(part, name)
    if name == "due_at":
        value = NOON
    return replace(event, **{where: replace(part, **{name: another(value)})})


@pytest.mark.parametrize(("where", "name"), list(changes()))
def test_any_changed_column_of_an_old_row_is_a_violation(where: str, name: str) -> None:
    events = history()
    events[CHANGED - 1] = changed(events[CHANGED - 1], where, name)
    found = list(check_chain(events))
    assert CHANGED in {violation.sequence for violation in found}
    assert {violation.rule for violation in found} == {12}
    assert 12 in {violation.rule for violation in verify_job(events)}


def test_a_changed_row_is_named_once() -> None:
    events = history()
    events[CHANGED - 1] = replace(events[CHANGED - 1], message="all of it")
    (violation,) = verify_job(events)
    assert (violation.sequence, violation.event_id) == (CHANGED, events[CHANGED - 1].event_id)


def test_a_row_whose_hash_was_made_anew_betrays_itself_at_the_next_one() -> None:
    events = history()
    row = replace(events[CHANGED - 1], message="all of it")
    events[CHANGED - 1] = chained(events[CHANGED - 2], row)
    (violation,) = verify_job(events)
    assert violation.sequence == CHANGED + 1


@pytest.mark.parametrize("name", ["salt", "data_hash", "text_hash", "hash"])
def test_a_row_without_one_of_its_hashes_is_a_violation(name: str) -> None:
    events = history()
    without: dict[str, Any] = {name: None}
    events[CHANGED - 1] = replace(events[CHANGED - 1], **without)
    assert CHANGED in {violation.sequence for violation in verify_job(events)}


def test_values_can_be_erased_with_their_salt_and_the_chain_stays_whole() -> None:
    events = history()
    whole = events[CHANGED - 1]
    nameless = replace(whole.facts, job_name="")
    erased = replace(whole, facts=nameless, message="", data={}, salt=None)
    assert row_hash(erased, events[CHANGED - 2].hash) == whole.hash


def test_the_same_short_value_has_another_digest_in_each_row() -> None:
    life = Life().queued().started().step(1).step(1)
    assert len({event.data_hash for event in life.events}) == len(life.events)
    assert len({event.text_hash for event in life.events}) == len(life.events)


def test_a_seal_carries_the_chain_on_and_its_tombstone_begins_one() -> None:
    events = history()
    stone = tombstone_of(events[-1], events[-1], digest="d", message="removed")
    seal = seal_of(stone, head=events[-1])
    assert verify_job([*events, seal]) == []
    assert verify_job([tombstone_under(seal)]) == []
    assert {v.rule for v in verify_job([*events, replace(seal, hash=events[-1].hash)])} == {12}
    forged = replace(tombstone_under(seal), message="removed on somebody's wish")
    assert {v.rule for v in verify_job([forged])} == {12}


def test_behind_a_missing_row_the_content_of_the_next_is_still_checked() -> None:
    events = history()
    del events[CHANGED - 1]
    events[CHANGED - 1] = replace(events[CHANGED - 1], message="?")
    assert {(v.rule, v.sequence) for v in verify_job(events)} == {(1, 4), (12, 4)}


async def test_a_first_claim_builds_on_the_hash_in_the_message(bench: Bench) -> None:
    request = await bench.submit()
    await bench.claimed(request)
    assert bench.trail.calls["newest"] + bench.trail.calls["read"] == 0
    assert verify_job(await bench.real.trail.history(request.job_id)) == []


async def test_a_claim_from_a_message_without_the_hash_reads_the_trail(bench: Bench) -> None:
    request = await bench.submit()
    message = await bench.message(request, opening_hash=None)
    await bench.claimer("w1").claim(message, lease_id=new_lease_id())
    assert bench.trail.calls["newest"] + bench.trail.calls["read"] == 1
    events = await bench.real.trail.history(request.job_id)
    assert [event.status for event in events] == ["Queued", "Started"]
    assert verify_job(events) == []


async def test_every_message_of_a_waiting_first_event_carries_its_hash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As another process would, this one forgets at once that it has published the message.
    monkeypatch.setattr("jobfleet_protocol.actions.publication.MOST_REMEMBERED", 0)
    request = await bench.submit()
    await bench.submitter.submit(request)
    opening = await bench.head(request.job_id)
    messages = await bench.messages()
    assert len(messages) == 2
    assert {message.opening_hash for message in messages} == {opening.hash}


async def test_data_in_a_blob_are_checked_once_they_are_fetched(bench: Bench) -> None:
    request = await bench.submit(payload="x" * 40_000)
    history = await bench.real.trail.history(request.job_id)
    whole = [await resolve(event, bench.real.payloads) for event in history]
    assert verify_job(history) == verify_job(whole) == []
    await bench.real.payloads.delete_job(request.job_id)
    await bench.real.payloads.put(history[0].data["blob"], b'{"request":"another"}')
    forged = [await resolve(event, bench.real.payloads) for event in history]
    assert verify_job(history) == []
    assert [violation.rule for violation in verify_job(forged)] == [12]


def test_an_erased_history_is_whole_while_the_retention_removes_it_row_by_row() -> None:
    *events, erasure = Life().queued().started().step().completed().erased().events
    tombstone = tombstone_of(events[-1], erasure, digest=None, message="removed")
    seal = seal_of(tombstone, head=erasure)
    first, *rest = [*(event.without_values() for event in events), erasure]
    assert len(rest) > 1
    for gone in range(len(rest) + 1):
        assert not list(check_chain([first, *rest[gone:], seal]))
