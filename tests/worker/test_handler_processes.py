"""The life of handler processes, and of what they start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobfleet_contracts.state import State
from tests.worker import process_handlers
from tests.worker.processes import is_alive, pid_in
from tests.worker.workshop import Workshop


async def test_a_handler_process_may_have_children(workshop: Workshop) -> None:
    workshop.start_worker(process_handlers.pool)
    head = await workshop.run("process.pool")
    assert head.data["result"] == 285


@pytest.mark.parametrize(
    "function", [process_handlers.runs_subprocess, process_handlers.deaf], ids=["heeds", "deaf"]
)
@pytest.mark.parametrize("how", ["cancel", "time limit", "drain"])
async def test_what_a_process_has_started_ends_before_the_jobs_end_is_written(
    workshop: Workshop, tmp_path: Path, function: Callable[..., Any], how: str
) -> None:
    running = workshop.start_worker(function, process_handlers.echo, processes=1, drain_seconds=0.1)
    await workshop.run("process.echo")  # what follows is to run in a process that is warm
    job_type = "process.deaf" if function is process_handlers.deaf else "process.subprocess"
    file = tmp_path / "child"
    limit = 3.0 if how == "time limit" else None
    job_id = await workshop.submit(job_type, str(file), max_attempts=1, timeout_seconds=limit)
    child = await pid_in(file)
    if how == "cancel":
        await workshop.canceller.cancel(job_id, by="test")
    elif how == "drain":
        await running.stop()
    await workshop.until_state(job_id, State.CANCELLED, State.TIMED_OUT, State.DEFERRED)
    assert not is_alive(child)


async def test_what_a_process_leaves_behind_ends_with_it(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.start_worker(process_handlers.leaves_children)
    file = tmp_path / "child"
    head = await workshop.run("process.leaves", str(file))
    assert head.data["result"] == "returned"
    assert not is_alive(await pid_in(file))


async def test_the_end_of_a_process_is_its_exit_not_the_end_of_its_pipe(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.start_worker(process_handlers.forked_then_killed)
    file = tmp_path / "child"
    job_id = await workshop.submit("process.forked", str(file), max_attempts=1)
    child = await pid_in(file)
    head = await workshop.until_ended(job_id, seconds=120)  # the forked process sleeps for longer
    assert head.data["error"]["message"] == "the handler's process ended with exit code -9"
    assert not is_alive(child)


async def test_a_process_that_closed_its_pipe_runs_on_to_its_time_limit(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.start_worker(process_handlers.closes_its_files, process_handlers.echo, processes=1)
    await workshop.run("process.echo")
    file = tmp_path / "child"
    job_id = await workshop.submit("process.closes", str(file), max_attempts=1, timeout_seconds=4)
    assert (await workshop.until_ended(job_id)).status == "TimedOut"


async def test_a_deleted_working_folder_is_named(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    workshop.start_worker(process_handlers.pool)
    assert (await workshop.run("process.pool")).after.state is State.COMPLETED
    folder.rmdir()
    head = await workshop.run("process.pool", max_attempts=1)
    assert "working folder was deleted" in head.data["error"]["message"]
