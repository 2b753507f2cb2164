"""The power goes while an embedded fleet works: what it has confirmed is there afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

import pytest

from devtools.evidence import figures
from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.errors import JobfleetError
from jobfleet_contracts.state import State
from tests.polling import eventually
from tests.system.fleet import LEASE_SECONDS, Fleet
from tests.system.power_loss import build_library, lose_power
from tests.system.verified import assert_verified

ROOT = Path(__file__).parents[2]
CONFIRMED_JOBS = 60
CARELESS = """
import sqlite3

connect = sqlite3.connect


class Careless(sqlite3.Connection):
    def execute(self, statement, *values):
        statement = statement.replace("synchronous=FULL", "synchronous={level}")
        return super().execute(statement, *values)


sqlite3.connect = lambda *given, **named: connect(*given, factory=Careless, **named)
"""
"""Runs at the start of each process: with another level commits do not wait for the disk."""


def careless(level: str, folder: Path) -> Mapping[str, str]:
    """Return the environment of processes whose connections have this level of SQLite's."""
    start = folder / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(CARELESS.format(level=level))
    return {"PYTHONPATH": str(start)}


BUGS: Mapping[str, Callable[[Path], Mapping[str, str]]] = {
    "a disk that lies about a sync": lambda _: {"POWER_LOSS_LYING_DISK": "1"},
    "synchronous=OFF: nothing waits for the disk": partial(careless, "OFF"),
    "synchronous=NORMAL: only checkpoints wait for the disk": partial(careless, "NORMAL"),
}


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(10))
async def test_confirmed_jobs_and_results_survive_a_power_loss(seed: int, tmp_path: Path) -> None:
    accepted, completed, lost = await power_loss(tmp_path, seed, {})
    fleet = await reopened(tmp_path)
    try:
        await assert_verified(fleet.backend)
        assert [job for job in accepted if await fleet.state(job) is None] == []
        assert [job for job in completed if await fleet.state(job) != State.COMPLETED] == []
        fleet.start_worker()
        await fleet.until_ended(*accepted, seconds=180)
        await assert_verified(fleet.backend)
    finally:
        await fleet.close()
    figures.count(power_losses=1, confirmed_jobs=len(accepted), unsynced_writes=lost)


@pytest.mark.chaos
@pytest.mark.parametrize("bug", BUGS)
async def test_a_deliberate_bug_loses_confirmed_jobs(bug: str, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    accepted, _, lost = await power_loss(tmp_path, 1, BUGS[bug](tmp_path))
    assert lost
    found = await has_lost(tmp_path, accepted)
    figures.bug(BugClass.POWER_LOSS, bug, found=found)
    assert found


async def power_loss(
    folder: Path, seed: int, disk: Mapping[str, str]
) -> tuple[list[str], list[str], int]:
    """Return the jobs that were confirmed as accepted and as completed, and the writes lost."""
    preload = {
        "LD_PRELOAD": str(build_library(folder)),
        "POWER_LOSS_JOURNAL": str(folder / "journal"),
        **disk,
    }
    fleet = Fleet(embedded(folder) | preload, folder)
    output = folder / "client.txt"
    workers = [fleet.start_worker() for _ in range(2)]
    with output.open("wb") as out:
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.system.power_loss_client",
            cwd=ROOT,
            env=os.environ | embedded(folder) | preload,
            stdout=out,
        )
    enough = CONFIRMED_JOBS + Random(seed).randrange(40)

    async def confirmed() -> bool:
        return len(_ids_after(output, "completed")) >= enough

    try:
        await eventually("confirmed jobs", confirmed, seconds=120, every=0.05)
    finally:
        for pid in (client.pid, *(worker.pid for worker in workers)):
            os.kill(pid, signal.SIGKILL)
        await client.wait()
        for worker in workers:
            worker.wait(10)
    lost = lose_power(folder / "journal", Random(seed))
    (folder / "data" / "jobfleet.db-shm").unlink(missing_ok=True)
    return _ids_after(output, "accepted"), _ids_after(output, "completed"), lost


async def has_lost(folder: Path, accepted: list[str]) -> bool:
    """Return whether a confirmed job is missing, or the files cannot be read any more."""
    try:
        fleet = await reopened(folder)
    except JobfleetError:
        return True
    try:
        return None in [await fleet.state(job) for job in accepted]
    except JobfleetError:
        return True
    finally:
        await fleet.close()


async def reopened(folder: Path) -> Fleet:
    """Return a fleet on the files as they are after the loss."""
    fleet = Fleet(embedded(folder), folder)
    await fleet.open()
    return fleet


def embedded(folder: Path) -> dict[str, str]:
    return {
        "JOBFLEET_BACKEND": "embedded",
        "JOBFLEET_DATA_DIR": str(folder / "data"),
        "JOBFLEET_LEASE_SECONDS": str(LEASE_SECONDS),
        "JOBFLEET_RESCUE_SECONDS": "1",
        "JOBFLEET_LOG_FORMAT": "json",
    }


def _ids_after(path: Path, what: str) -> list[str]:
    lines = path.read_text().splitlines()
    return [line.removeprefix(what).strip() for line in lines if line.startswith(what)]
