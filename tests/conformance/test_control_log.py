"""ControlLog: one append-only log per subject and name; inserting is the compare-and-swap."""

from __future__ import annotations

import asyncio
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import MAX_ENTRY_BYTES, ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.job_id import new_id
from tests.conformance.conftest import WITH_FAKES

pytestmark = WITH_FAKES

SCHEDULE, QUEUE = ControlSubject.SCHEDULE, ControlSubject.QUEUE
START = datetime(2026, 3, 1, 6, 0, 0, 1, tzinfo=UTC)


def an_entry(name: str = "daily", sequence: int = 1, **fields: Any) -> ControlEntry:
    known: dict[str, Any] = {
        "subject": SCHEDULE,
        "name": name,
        "sequence": sequence,
        "entry_id": new_id(),
        "kind": ControlKind.FIRED,
        "by": "scheduler",
        "occurred_at": START + timedelta(seconds=sequence),
        "state": {"sequence": sequence},
    }
    return ControlEntry(**known | fields)


async def test_an_entry_comes_back_exactly_as_it_was_written(backend: Backend) -> None:
    entry = an_entry(
        kind=ControlKind.DECLARED,
        by="ünï 'x'",
        reason='line one\nline "two" — ü',
        details={"tick": "2026-03-01T06:00:00.000000Z", "nested": [1, None, {"a": 1.5}]},
        state={"payload": {"kind": "größe"}, "paused": False},
    )
    await backend.control_log.insert(entry)
    assert await backend.control_log.read(SCHEDULE, "daily", 1) == entry
    assert await backend.control_log.newest(SCHEDULE, "daily") == entry


async def test_the_largest_entry_is_stored(backend: Backend) -> None:
    text = "ü" * ((MAX_ENTRY_BYTES - 10) // 2)
    entry = an_entry(details={"text": text}, state={"text": text})
    await backend.control_log.insert(entry)
    assert await backend.control_log.newest(SCHEDULE, "daily") == entry


async def test_an_unknown_log_is_empty(backend: Backend) -> None:
    log = backend.control_log
    assert await log.newest(SCHEDULE, "none") is None
    assert await log.read(SCHEDULE, "none", 1) is None
    assert list(await log.history(SCHEDULE, "none")) == []
    assert list(await log.heads(SCHEDULE)) == []


async def test_a_sequence_is_written_once_whoever_comes_first(
    backend: Backend, other: Backend
) -> None:
    rivals = [an_entry(by=f"w{n}") for n in range(20)]
    logs = [backend.control_log, other.control_log]
    results = await asyncio.gather(
        *(logs[n % 2].insert(entry) for n, entry in enumerate(rivals)), return_exceptions=True
    )
    winners = [rivals[n] for n, result in enumerate(results) if result is None]
    assert len(winners) == 1
    assert all(isinstance(e, SequenceTaken) for e in results if e is not None)
    assert await other.control_log.newest(SCHEDULE, "daily") == winners[0]


async def test_history_is_paged_newest_first(backend: Backend) -> None:
    entries = [an_entry(sequence=n) for n in range(1, 8)]
    for entry in entries:
        await backend.control_log.insert(entry)
    newest_first = entries[::-1]
    first = await backend.control_log.history(SCHEDULE, "daily", limit=3)
    rest = await backend.control_log.history(SCHEDULE, "daily", before=first[-1].sequence)
    assert [*first, *rest] == newest_first


async def test_names_and_subjects_do_not_disturb_each_other(backend: Backend) -> None:
    """Names that begin alike, and every allowed character behind a shared beginning."""
    characters = string.ascii_letters + string.digits + "_.-"
    names = ["a", *(f"a{character}" for character in characters), "a.b.c"]
    expected = {}
    for name in names:
        for sequence in (1, 2):
            expected[name] = an_entry(name, sequence)
            await backend.control_log.insert(expected[name])
    await backend.control_log.insert(an_entry("a", subject=QUEUE, kind=ControlKind.PAUSED))
    heads = await backend.control_log.heads(SCHEDULE)
    assert sorted(heads, key=lambda e: e.name) == [expected[name] for name in sorted(names)]
    for name in names:
        assert len(await backend.control_log.history(SCHEDULE, name)) == 2
    assert [e.subject for e in await backend.control_log.heads(QUEUE)] == [QUEUE]


async def test_a_name_with_many_entries_hides_none_behind_it(backend: Backend) -> None:
    for sequence in range(1, 121):
        await backend.control_log.insert(an_entry("busy", sequence))
    for name in ("after", "zebra"):
        await backend.control_log.insert(an_entry(name))
    heads = await backend.control_log.heads(SCHEDULE)
    assert {(e.name, e.sequence) for e in heads} == {("busy", 120), ("after", 1), ("zebra", 1)}


async def test_a_scan_yields_each_log_whole_and_oldest_first(backend: Backend) -> None:
    for name, subject in (("one", SCHEDULE), ("two", QUEUE)):
        for sequence in (1, 2, 3):
            await backend.control_log.insert(an_entry(name, sequence, subject=subject))
    logs = [log async for log in backend.control_log.scan()]
    assert {(log[0].subject, log[0].name) for log in logs} == {(SCHEDULE, "one"), (QUEUE, "two")}
    assert all([e.sequence for e in log] == [1, 2, 3] for log in logs)


async def test_names_differ_by_case(backend: Backend) -> None:
    with_capital, without = an_entry("Daily"), an_entry("daily")
    await backend.control_log.insert(with_capital)
    await backend.control_log.insert(without)
    assert await backend.control_log.newest(SCHEDULE, "Daily") == with_capital


@pytest.mark.parametrize("name", ["x" * 100, "0", "a.b-c_D"])
async def test_every_allowed_name_can_be_a_key(backend: Backend, name: str) -> None:
    await backend.control_log.insert(an_entry(name))
    assert [e.name for e in await backend.control_log.heads(SCHEDULE)] == [name]
