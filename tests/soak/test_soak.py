"""Steady work for an hour: memory, file handles and the database stay flat.

``SOAK_SECONDS`` sets the length (3600). What ended is removed after a thirtieth of it, so that the
database reaches its level in the first quarter.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random

import aiohttp
import psutil
import pytest

from devtools.evidence import figures
from devtools.servers.ports import reserved_ports
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.write_side import WriteSide
from tests.chaos.dashboard import Dashboard
from tests.chaos.witness import Witness
from tests.chaos.workload import Workload
from tests.soak.flatness import Curve, growth, is_flat
from tests.system.fleet import Fleet, WorkerProcess
from tests.system.verified import assert_verified

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
SAMPLES = 120
WORKERS = 2
PACE = 1.5
TOMBSTONE_KIB = 1.5
"""What stays of a job for good: a row of some 650 bytes, its places in six indexes, unused room.

A whole history would take three times as much: if it stayed, the curve would show it.
"""
PAGES = ("/", "/jobs", "/workers", "/events", "/api/stats", "/metrics")
CURVES = (
    Curve("workers, MiB", 5 * WORKERS),
    Curve("workers, handles", 4),
    Curve("dashboard, MiB", 5),
    Curve("dashboard, handles", 4),
    Curve("database without tombstones, MiB", 2),
)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """A fleet on the embedded backend that keeps little."""
    found = Fleet(
        {
            "JOBFLEET_BACKEND": "embedded",
            "JOBFLEET_DATA_DIR": str(tmp_path / "data"),
            "JOBFLEET_RETENTION_DAYS": str(SECONDS / 30 / 86_400),
            "JOBFLEET_ALLOW_PRIVATE_TARGETS": "true",
            "JOBFLEET_RETRY_BASE_SECONDS": "0.5",
            "JOBFLEET_LOG_FORMAT": "json",
            "JOBFLEET_LOG_LEVEL": "warning",
        },
        tmp_path,
    )
    await found.open()
    yield found
    await found.close()


@pytest.mark.chaos
async def test_an_hour_of_steady_work_leaves_memory_handles_and_database_flat(
    fleet: Fleet, tmp_path: Path
) -> None:
    witness = Witness(Random("soak witness"))
    await witness.start()
    workers = [fleet.start_worker() for _ in range(WORKERS)]
    port = reserved_ports(tmp_path / "dashboard.json", ("http",))["http"]
    dashboard = Dashboard(fleet=fleet, port=port)
    await dashboard.until_ready()
    workload = _workload(fleet, dashboard, witness)
    work = asyncio.create_task(workload.run(), name="workload")
    visits = asyncio.create_task(_visit(port), name="visits")
    values = await _sampled(workers, fleet.workers[-1], tmp_path / "data", workload)
    work.cancel()
    visits.cancel()
    await workload.finish()
    await asyncio.gather(visits, return_exceptions=True)
    figures.count(
        jobs=len(workload.accepted),
        samples=SAMPLES,
        **{f"growth_of_{name.replace(', ', '_')}": growth(held) for name, held in values.items()},
    )
    await assert_verified(fleet.backend)
    await dashboard.close()
    await witness.stop()
    assert not workload.problems
    assert not [worker.pid for worker in fleet.workers if worker.has_died]
    grown = [curve.name for curve in CURVES if not is_flat(curve, values[curve.name])]
    assert not grown, {name: values[name] for name in grown}


def _workload(fleet: Fleet, dashboard: Dashboard, witness: Witness) -> Workload:
    writes = WriteSide.wire(
        backend=fleet.backend, clock=SystemClock(), defaults=fleet.settings.job_defaults
    )

    async def by_library(request: JobRequest, key: str) -> None:
        await writes.submitter.submit(request, idempotency_key=key)

    return Workload(
        ways=[by_library, dashboard.submit],
        canceller=writes.canceller,
        redriver=writes.redriver,
        witness_url=witness.url,
        pace=PACE,
        random=Random("soak jobs"),
    )


async def _visit(port: int) -> None:
    """Look at the pages, one after the other, as a person on duty does."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        while True:
            for page in PAGES:
                async with session.get(f"http://127.0.0.1:{port}{page}") as answer:
                    assert answer.status == 200, f"{page}: {answer.status}"
                    await answer.read()
                await asyncio.sleep(1)


async def _sampled(
    workers: list[WorkerProcess], dashboard: WorkerProcess, data: Path, workload: Workload
) -> Mapping[str, list[float]]:
    """Measure all the while; return the values of each curve, in order of time."""
    values: dict[str, list[float]] = {curve.name: [] for curve in CURVES}
    began = time.monotonic()
    for number in range(1, SAMPLES + 1):
        await asyncio.sleep(max(0.0, began + number * SECONDS / SAMPLES - time.monotonic()))
        stored, minute = _mib_in_use(data / FILE_NAME), (time.monotonic() - began) / 60
        figures.point(
            "database's file, MiB", minute, round((data / FILE_NAME).stat().st_size / 2**20, 2)
        )
        tombstones = len(workload.accepted) * TOMBSTONE_KIB / 1024
        measured = (*_held(workers), *_held([dashboard]), round(stored - tombstones, 2))
        for curve, value in zip(CURVES, measured, strict=True):
            values[curve.name].append(value)
            figures.point(curve.name, minute, value)
    return values


def _held(processes: list[WorkerProcess]) -> tuple[float, float]:
    """Return MiB of memory and the number of file handles, children included."""
    roots = [psutil.Process(process.pid) for process in processes]
    found = [*roots, *(child for root in roots for child in root.children(recursive=True))]
    mib = sum(each.memory_info().rss for each in found) / 2**20
    return round(mib, 1), float(sum(each.num_fds() for each in found))


def _mib_in_use(database: Path) -> float:
    """Return the size of the pages that hold something.

    The file keeps what a moment of much work took, and gives it to later rows; so its size tells of
    that moment, and not of what stays.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        size, pages, free = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
    return round(size * (pages - free) / 2**20, 2)
