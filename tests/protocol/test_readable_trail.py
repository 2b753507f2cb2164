"""Readers of a trail with rows that cannot be read: a stand-in for each, and every other row."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.job_reader import JobReader
from jobfleet_protocol.reading.readable_trail import ReadableTrail
from tests.protocol.life import Life, ended

LAST = 27
BROKEN = [{1}, {2}, {5}, {10, 11}, {13, 14, 20}, {LAST}, {26, LAST}, set(range(1, LAST + 1))]
"""The opening, a claim, a step, two in a row, some of each, the ends, and all rows."""


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    opened = await open_backend(Settings(backend="embedded", data_dir=tmp_path))
    yield opened
    await opened.close()


def life_of_three_attempts() -> Life:
    """Queued, then three attempts of six steps each; the third one completes."""
    life = Life()
    request = {"jobId": life.facts.job_id, "createdAt": "2026-01-31T12:00:00Z", "type": "demo"}
    life.then("Queued", max_attempts=3, data={"request": request})
    for attempt in (1, 2, 3):
        life.started()
        for number in range(1, 7):
            life.step(number)
        life.completed() if attempt == 3 else life.retried()
    return life


def spoil(folder: Path, job_id: str, sequences: set[int]) -> None:
    """Change rows until no codec reads them."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS trail_is_never_rewritten")
        for sequence in sequences:
            connection.execute(
                "UPDATE trail SET data = '{no JSON' WHERE job_id = ? AND sequence = ?",
                (job_id, sequence),
            )


async def stored(backend: Backend, folder: Path, broken: set[int]) -> Life:
    life = life_of_three_attempts()
    await backend.trail.insert(life.events)
    spoil(folder, life.facts.job_id, broken)
    return life


def shape(events: Sequence[Event]) -> list[tuple[int, bool]]:
    return [(event.sequence, event.is_readable) for event in events]


async def test_each_row_that_cannot_be_read_has_a_stand_in_and_hides_no_other(
    backend: Backend, tmp_path: Path
) -> None:
    for broken in BROKEN:
        life = await stored(backend, tmp_path, broken)
        job_id, trail = life.facts.job_id, ReadableTrail(backend.trail)
        wanted = [(number, number not in broken) for number in range(1, LAST + 1)]
        assert shape(await trail.complete(job_id)) == wanted
        assert shape(await trail.history(job_id, after=3, limit=9)) == wanted[3:12]
        assert shape(await trail.history(job_id, before=LAST + 1, limit=9)) == wanted[-9:]
        newest = await trail.newest(job_id)
        assert newest is not None
        assert shape([newest]) == wanted[-1:]
        scanned = [history async for history in trail.scan() if history[0].job_id == job_id]
        assert [shape(history) for history in scanned] == [wanted]


async def test_lifecycle_events_are_found_behind_rows_that_cannot_be_read(
    backend: Backend, tmp_path: Path
) -> None:
    lifecycle = {1, 2, 9, 10, 11, 18, 19, 20, LAST}
    for broken in BROKEN:
        life = await stored(backend, tmp_path, broken)
        trail = ReadableTrail(backend.trail)
        found = await trail.lifecycle(life.facts.job_id, last=LAST)
        readable = [event.sequence for event in found if event.is_readable]
        assert readable == sorted(lifecycle - broken)
        stand_ins = {event.sequence for event in found if not event.is_readable}
        assert lifecycle & broken <= stand_ins <= broken
        newest_two = await trail.lifecycle(life.facts.job_id, last=LAST, limit=2)
        assert newest_two == found[-2:]


async def test_a_job_with_rows_that_cannot_be_read_is_shown_with_what_is_known(
    backend: Backend, tmp_path: Path
) -> None:
    reader = JobReader(trail=backend.trail, payloads=backend.payloads)
    for broken in BROKEN:
        life = await stored(backend, tmp_path, broken)
        job_id = life.facts.job_id
        record = await reader.read(job_id)
        assert [event.sequence for event in record.events] == list(range(1, LAST + 1))
        assert (record.request is None) == (1 in broken)
        newest_readable = max({0, *range(1, LAST + 1)} - broken)
        assert record.newest.sequence == (newest_readable or LAST)
        assert (record.completed_at is not None) == (LAST not in broken)
        claims = {2: 1, 11: 2, 20: 3}
        attempts = (await reader.attempts(job_id)).items
        assert [each.opened for each in attempts] == sorted(claims.keys() - broken)
        again = await reader.read(job_id, known=record)
        assert again.events == record.events


async def test_of_a_job_that_never_was_every_question_says_so(backend: Backend) -> None:
    reader = JobReader(trail=backend.trail, payloads=backend.payloads)
    job_id = new_id()
    for question in (
        reader.newest(job_id),
        reader.read(job_id),
        reader.events(job_id),
        reader.attempts(job_id),
        reader.lifecycle(job_id),
        reader.lifecycle(job_id, cursor="l7"),
    ):
        with pytest.raises(UnknownJob, match=job_id):
            await question
    assert await ReadableTrail(backend.trail).complete(job_id) == []


async def test_a_known_record_is_read_on_from_its_last_event(backend: Backend) -> None:
    reader = JobReader(trail=backend.trail, payloads=backend.payloads)
    life = life_of_three_attempts()
    await backend.trail.insert(life.events[:4])
    record = await reader.read(life.facts.job_id)
    for written, upto in ((4, 4), (4, 12), (12, LAST)):
        if upto > written:
            await backend.trail.insert(life.events[written:upto])
        record = await reader.read(life.facts.job_id, known=record)
        whole = await reader.read(life.facts.job_id)
        assert record.to_json() == whole.to_json()
        assert list(record.lifecycle) == list(whole.lifecycle)
    assert record.newest.after.state is State.COMPLETED


async def test_the_last_failure_and_the_start_are_those_of_the_last_incarnation(
    backend: Backend,
) -> None:
    life = ended(State.FAILED)
    await backend.trail.insert(life.events)
    reader = JobReader(trail=backend.trail, payloads=backend.payloads)
    record = await reader.read(life.facts.job_id)
    start = next(event for event in life.events if event.status == "Started")
    assert (record.started_at, record.completed_at) == (
        start.occurred_at,
        life.head.occurred_at,
    )
