"""The power goes while an embedded fleet works: what it has confirmed is there afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from devtools.evidence import figures
from jobfleet_contracts.errors import JobfleetError
from jobfleet_contracts.state import State
from tests.polling import eventually
from tests.system.fleet import LEASE_SECONDS, Fleet
from tests.system.power_loss import build_library, lose_power
from tests.system.verified import assert_verified

ROOT = Path(__file__).parents[2]
CONFIRMED_JOBS = 60


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
async def test_a_disk_that_lies_about_a_sync_loses_confirmed_jobs(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    accepted, _, lost = await power_loss(tmp_path, 1, {"POWER_LOSS_LYING_DISK": "1"})
    assert lost
    try:
        fleet = await reopened(tmp_path)
    except JobfleetError:
        return
    try:
        assert [job for job in accepted if await fleet.state(job) is None]
    finally:
        await fleet.close()


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
