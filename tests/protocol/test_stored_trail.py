"""The checker over a trail as it is really stored, before and after somebody edits the file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.index_drift import DriftCheck
from jobfleet_protocol.audit.verification import Verifier, complete_history, verify_trail
from tests.protocol.life import Life, ended


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    opened = await open_backend(Settings(backend="embedded", data_dir=tmp_path))
    yield opened
    await opened.close()


async def stored(backend: Backend, *lives: Life) -> None:
    for life in lives:
        await backend.trail.insert(life.events)


def edit(folder: Path, statement: str, *values: object) -> None:
    """Change rows the way somebody with the file in hand does."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute("DROP TRIGGER trail_is_never_rewritten")
        connection.execute("DROP TRIGGER trail_is_never_shortened")
        connection.execute(statement, values)


async def test_a_stored_trail_of_legal_lives_passes(backend: Backend) -> None:
    await stored(backend, *(ended(state) for state in State if state.is_terminal))
    await stored(backend, Life(lock_key="k").scheduled().started().retried().started())
    verifier = await verify_trail(backend.trail)
    assert (verifier.jobs, verifier.events, verifier.violations.total) == (5, 17, 0)


async def test_an_edited_row_is_found_with_job_and_event(backend: Backend, tmp_path: Path) -> None:
    life = ended(State.FAILED)
    await stored(backend, life, ended(State.COMPLETED))
    edit(
        tmp_path,
        "UPDATE trail SET attempt = 2 WHERE job_id = ? AND sequence = 3",
        life.facts.job_id,
    )
    found = (await verify_trail(backend.trail)).violations.kept
    assert [violation.rule for violation in found] == [2, 12]
    assert {violation.job_id for violation in found} == {life.facts.job_id}
    assert {violation.event_id for violation in found} == {life.head.event_id}


async def test_the_database_refuses_a_sequence_that_is_no_number(
    backend: Backend, tmp_path: Path
) -> None:
    await stored(backend, ended(State.COMPLETED))
    with pytest.raises(sqlite3.IntegrityError):
        edit(tmp_path, "UPDATE trail SET sequence = 'two' WHERE sequence = 2")


async def test_a_deleted_row_is_found_in_one_job(backend: Backend, tmp_path: Path) -> None:
    life = ended(State.COMPLETED)
    await stored(backend, life)
    edit(tmp_path, "DELETE FROM trail WHERE sequence = 2")
    verifier = await verify_trail(backend.trail, job_id=life.facts.job_id)
    assert [violation.rule for violation in verifier.violations.kept] == [1]


async def test_an_unknown_job_has_no_history(backend: Backend) -> None:
    assert (await verify_trail(backend.trail, job_id=Life().facts.job_id)).jobs == 0


async def test_a_history_of_many_pages_is_read_whole(backend: Backend) -> None:
    life = Life().queued().started()
    for number in range(2100):
        life.step(number)
    await stored(backend, life)
    assert await complete_history(backend.trail, life.facts.job_id) == life.events


async def test_jobs_without_open_rows_are_drift_of_the_index(backend: Backend) -> None:
    life = Life().queued()
    await stored(backend, life)
    check, verifier = DriftCheck(), Verifier()
    async for history in backend.trail.scan():
        check.add(history)
        verifier.add(history)
    (difference,) = await check.compare(backend.reader, backend.trail)
    assert (difference.rule, difference.job_id) == (11, life.facts.job_id)
    assert verifier.finish() == []
