"""Database: what is found at the start, and what survives the end."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import LeaseConflict, SettingsError
from tests.conformance.jobs import a_message, an_id, queued

_WRITER = """
import asyncio, sys
from pathlib import Path
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from tests.conformance.jobs import queued

async def main():
    backend = await open_embedded(Settings(data_dir=Path(sys.argv[1])))
    for _ in range(int(sys.argv[2])):
        event = queued()
        await backend.trail.insert([event])
        print("written", event.job_id, flush=True)

asyncio.run(main())
"""


def _start_writer(folder: Path, events: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(folder), str(events)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _written(output: Iterable[str]) -> set[str]:
    """Job ids that a writer named in whole lines."""
    lines = (line.split() for line in output if line.endswith("\n"))
    return {words[1] for words in lines if words[:1] == ["written"]}


async def test_folder_and_file_are_made(backend: Backend, path: Path) -> None:
    assert path.is_file()  # noqa: ASYNC240


async def test_what_was_acknowledged_survives_a_kill(settings: Settings) -> None:
    process = _start_writer(settings.data_dir, 100_000)
    assert process.stdout is not None
    output = [process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    acknowledged = _written([*output, *process.stdout])
    process.wait()
    backend = await open_embedded(settings)
    found = {history[0].job_id async for history in backend.trail.scan()}
    await backend.close()
    assert len(acknowledged) > 190
    assert acknowledged <= found


async def test_a_backend_that_nobody_closed_does_not_hold_up_its_process(
    settings: Settings,
) -> None:
    process = _start_writer(settings.data_dir, 3)
    output, _ = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 0
    assert len(_written(output.splitlines(keepends=True))) == 3


async def test_several_processes_open_a_new_file_at_once(settings: Settings) -> None:
    processes = [_start_writer(settings.data_dir, 20) for _ in range(3)]
    outputs = [await asyncio.to_thread(each.communicate, timeout=60) for each in processes]
    assert [each.returncode for each in processes] == [0] * 3
    backend = await open_embedded(settings)
    found = {history[0].job_id async for history in backend.trail.scan()}
    await backend.close()
    lines = [line for output, _ in outputs for line in output.splitlines(keepends=True)]
    assert len(found) == 60
    assert found == _written(lines)


async def test_a_file_that_is_no_database_is_refused_by_name(
    settings: Settings, path: Path
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 1000)  # noqa: ASYNC240
    with pytest.raises(SettingsError, match=f"{path} is damaged.*another folder"):
        await open_embedded(settings)


@pytest.mark.parametrize("version", [1, 99])
async def test_a_database_of_another_format_is_refused(
    settings: Settings, path: Path, version: int
) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()
    with pytest.raises(SettingsError, match=rf"another release of jobfleet \(format {version}"):
        await open_embedded(settings)


async def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SettingsError, match=r"JOBFLEET_DATA_DIR: folder .*taken/data"):
        await open_embedded(Settings(data_dir=tmp_path / "taken" / "data"))


async def test_the_trail_can_be_neither_changed_nor_shortened(backend: Backend, path: Path) -> None:
    await backend.trail.insert([queued()])
    connection = sqlite3.connect(path)
    for statement in ("UPDATE trail SET message = 'x'", "DELETE FROM trail"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)
    connection.rollback()
    connection.execute("INSERT INTO meta VALUES ('retention', 'on')")
    assert connection.execute("DELETE FROM trail").rowcount == 1
    connection.rollback()
    connection.close()


async def test_after_a_reboot_leases_have_ended_and_delays_go_on(settings: Settings) -> None:
    before = await open_embedded(settings)
    await before.leases.create("job/00/x")
    await before.leases.acquire("job/00/x", an_id(), 60)
    await before.queue.publish(a_message())
    await before.queue.publish_later(a_message(), timedelta(hours=1))
    await before.close()
    connection = sqlite3.connect(settings.data_dir / "jobfleet.db")
    with connection:
        connection.execute("UPDATE meta SET value = 'another boot' WHERE name = 'boot'")
        connection.execute("UPDATE messages SET visible_at = visible_at + 1e9")
        connection.execute("UPDATE locks SET expires = expires + 1e9")
    connection.close()
    after = await open_embedded(settings)
    assert await after.locks.leased() == frozenset()
    assert sum(depth.ready for depth in await after.queue.depths()) == 1
    await after.leases.acquire("job/00/x", an_id(), 60)
    with pytest.raises(LeaseConflict):
        await after.leases.acquire("job/00/x", an_id(), 60)
    await after.close()
