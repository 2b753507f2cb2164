"""What a watch shows, without a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from jobfleet_cli.watch_screen import FleetView, fleet_screen
from jobfleet_contracts.event import JobFacts
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.trail.transitions import Change, draft

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JOB = JobRequest(type="import", job_name="a long name " + "x" * 80)
QUEUED = Change(kind=Status.QUEUED, max_attempts=3, message="told \x1b[31m by a server")
EVENT = draft(None, JobFacts.of(JOB), QUEUED, occurred_at=NOW)
RUNNING = RunningJob(
    job_id="j",
    job_name="import",
    job_type="import",
    attempt=1,
    started_at=NOW - timedelta(seconds=83),
    lease_seconds_left=30.0,
)
WORKER = WorkerStatus(
    worker_id="01a00000-0000-7000-8000-0000000000aa",
    host="h",
    pid=7,
    version="1",
    started_at=NOW,
    heartbeat_at=NOW,
    slots=4,
    queues=("default",),
    types=("import",),
    running=(RUNNING,),
)
VIEW = FleetView(
    now=NOW,
    counts={State.QUEUED: 1230},
    workers=[WORKER],
    progress={"j": (4, 10)},
    recent=[EVENT] * 100,
)


def shown(view: FleetView, width: int, height: int) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(fleet_screen(view, width=width, height=height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 50)])
def test_the_screen_fills_its_terminal_and_no_more(width: int, height: int) -> None:
    lines = shown(VIEW, width, height)
    assert len(lines) in (height - 1, height)
    assert max(map(len, lines)) <= width
    assert not any("\x1b" in line for line in lines)


def test_it_tells_who_works_what_runs_and_what_waits() -> None:
    text = "\n".join(shown(VIEW, 120, 20))
    assert "1 worker alive, 1 of 4 slots busy" in text
    assert "queued 1,230  running 0" in text
    assert "4/10" in text
    assert "1:23" in text


def test_a_worker_that_went_silent_is_not_alive() -> None:
    silent = replace(WORKER, heartbeat_at=NOW - timedelta(minutes=1))
    assert "no worker is alive" in "\n".join(shown(replace(VIEW, workers=[silent]), 120, 20))
