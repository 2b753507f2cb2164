"""The dashboard's bench on little data: what it stores is shown, what it times answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from devtools.bench_dashboard.cpu_time import cpu_seconds
from devtools.bench_dashboard.embedded_row import fill
from devtools.bench_dashboard.landmarks import Sizes
from devtools.bench_dashboard.operated import FEW
from devtools.bench_dashboard.report import timed_table, viewers_table
from devtools.bench_dashboard.served import dashboard
from devtools.bench_dashboard.timing import Timed, timed
from devtools.bench_dashboard.viewers import Behind, measure_viewers
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.state import State
from tests.dashboard.api.conftest import client_of

SMALL = Sizes(long_events=30, waiters=5, queued=4, running=3, scheduled=2, retrying=2)


@pytest.mark.system
async def test_every_page_of_a_filled_fleet_answers(tmp_path: Path) -> None:
    paths = await fill(tmp_path, 1_000, sizes=SMALL, deeds=FEW)
    assert await fill(tmp_path, 1_000, sizes=SMALL, deeds=FEW) == paths  # it is used again
    backend = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    counts = await backend.reader.counts()
    assert (counts[State.DEFERRED], counts[State.QUEUED], counts[State.RUNNING]) == (5, 6, 5)
    assert _unmeasured(client_of(backend).app, paths.values()) == set()
    with dashboard({"JOBFLEET_DATA_DIR": str(tmp_path)}) as (address, pid):
        assert cpu_seconds(pid) > 0
        results = timed(address, [pid], paths.items(), repeats=1)
        behind = await measure_viewers(backend, address, pid, viewers=2, seconds=0.5)
    await backend.close()
    leads = {"jobs, full id": 303}
    assert {one.name: one.status for one in results} == dict.fromkeys(paths, 200) | leads
    assert [one.seen for one in behind] == [one.due for one in behind]
    assert "100.00%" in viewers_table(behind)


def _unmeasured(app: FastAPI, paths: Iterable[str]) -> set[str]:
    """Return what answers a GET and no row asks for: streams and downloads have no one answer."""
    asked = {urlsplit(path).path for path in paths}
    known = ("stream", "export.", "livez", "init.js")
    return {
        route.path
        for route in app.routes
        if isinstance(route, Route)
        and "GET" in (route.methods or ())
        and not any(part in route.path for part in known)
        and not any(route.path_regex.match(path) for path in asked)
    }


def test_a_report_names_what_takes_too_long_and_what_failed() -> None:
    quick = Timed("quick", (10.0, 12.0), 1_000, 200, 5.0)
    slow = Timed("slow", (190.0, 250.0), 1_000, 200, 5.0)
    broken = Timed("broken", (1.0, 1.0), 10, 503, 0.0)
    table = timed_table([quick, slow, broken])
    assert table.endswith(
        "CPU time above 200 ms: none; p95 above 200 ms: slow (250 ms); failed: broken (503)"
    )


def test_a_percentile_is_the_delay_that_this_share_did_not_exceed() -> None:
    behind = Behind("/", 1, [float(n) for n in range(1, 101)], 100, 0.0, 0.0)
    assert (behind.percentile(0.5), behind.percentile(0.99)) == (51.0, 100.0)
