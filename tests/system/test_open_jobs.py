"""A sealed fleet with open jobs, of each released form, is read, verified and finished."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_check import move_items
from jobfleet_cli.move_import import MoveImport
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.moving import move_in
from jobfleet_worker import handler
from jobfleet_worker.outbound.options import OutboundOptions
from tests.polling import eventually
from tests.system.moved_fleet import LARGE, Fleet, opened
from tests.system.open_jobs import write_open_jobs
from tests.worker.workshop import Workshop

CORPUS = Path(__file__).parents[1] / "corpus"
FROZEN = sorted(CORPUS.glob("*/open-jobs.move.gz"))
NO_CALLS = OutboundOptions(allowed_hosts=("nobody.example.org",))
"""The callback of a job fails at once: a test calls no server elsewhere."""
OUTCOMES = {
    ("Queued", "Completed"),
    ("Scheduled", "Completed"),
    ("Deferred", "Completed"),
    ("RetryScheduled", "Completed"),
    ("Redriven", "Completed"),
    ("TakenOver", "Completed"),  # from its lost worker, when the fleet was sealed
    ("Waiting", "TimedOut"),  # the answer that it waits for does not come
    ("Step 1", "TimedOut"),
    ("Sealed", "Completed"),
}
"""Newest event of an open job in the file, and its last one."""


@handler("x", aliases=("held",))
async def run(payload: Any) -> Any:
    return payload


@pytest.fixture(params=[*FROZEN, None], ids=lambda file: file.parent.name if file else "this one")
async def move(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of an earlier release, or one of this release."""
    file = tmp_path / "open-jobs.jsonl"
    if request.param is None:
        await write_open_jobs(file, tmp_path / "source")
    else:
        file.write_bytes(gzip.decompress(request.param.read_bytes()))
    return file


def histories_in(file: Path) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for item in move_items(file, option="FILE"):
        if isinstance(item, Event):
            found.setdefault(item.job_id, []).append(item)
    return found


def test_the_corpus_holds_open_jobs_of_this_release() -> None:
    assert [each.parent.name for each in FROZEN][:1] == ["0.1.0"]


def test_the_file_has_a_job_in_each_open_state_that_a_seal_leaves(move: Path) -> None:
    states = {history[-1].after.state for history in histories_in(move).values()}
    assert {state for state in State if not state.is_terminal} - {State.RUNNING} <= states


async def test_a_worker_finishes_the_open_jobs_of_an_earlier_release(
    tmp_path: Path, move: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = histories_in(move)
    async with opened(Settings(backend="embedded", data_dir=tmp_path / "target")) as fleet:
        with patch.object(move_in, "SETTLED_SECONDS", 0.0):
            assert await MoveImport(file=move).run(fleet.session) is ExitCode.DONE
        assert ", 0 violations" in capsys.readouterr().err
        await _finish(fleet, before.keys())
        after = await fleet.histories()
        await fleet.bench.verify()
    still_open = {job_id for job_id, h in before.items() if not h[-1].after.state.is_terminal}
    assert {(before[i][-1].status, after[i][-1].status) for i in still_open} == OUTCOMES
    for job_id, history in before.items():
        assert [e.hash for e in after[job_id][: len(history)]] == [e.hash for e in history]
        assert job_id in still_open or len(after[job_id]) == len(history)
    assert any(e.data.get("result") == LARGE for i in still_open for e in after[i])


async def _finish(fleet: Fleet, jobs: Any) -> None:
    """Let a worker run all jobs, and an operator resume what was paused."""
    real, clock = fleet.bench.real, fleet.bench.clock
    workshop = Workshop(real, clock)
    workshop.start_worker(run, outbound=NO_CALLS)
    try:
        pauses = Pauses(log=real.control_log, control=real.control, clock=clock)
        assert await pauses.resume(ControlSubject.TYPE, "held", by="operator")

        async def are_over() -> bool:
            return not [r for r in (await real.reader.open_rows()).items if r.facts.job_id in jobs]

        await eventually("all jobs have ended", are_over)
    finally:
        await workshop.close()
