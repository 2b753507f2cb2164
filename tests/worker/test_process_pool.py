"""Warm processes: what they keep from one job to the next, and what ends them."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.outcome import AttemptFailed, Completed
from jobfleet_worker.handlers.context import AttemptFacts
from jobfleet_worker.handlers.outcomes import HandlerOutcome
from jobfleet_worker.handlers.process_runner import ProcessRunner
from jobfleet_worker.handlers.registry import handlers_of
from jobfleet_worker.processes.pool import ProcessPool, process_pool
from tests.polling import eventually
from tests.worker import pool_handlers
from tests.worker.processes import (
    children_of,
    command_of,
    is_alive,
    parent_of,
    pid_in,
    threads_of,
    until_gone,
)

MODULE = pool_handlers.__name__


class Progress:
    """Takes what handlers report."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    async def progress(self, step: int, of: int | None, message: str) -> None:
        self.steps.append(step)

    async def checkpoint(self, value: Any) -> None:
        raise AssertionError("no handler here keeps one")


def runner(
    pool: ProcessPool, function: Any, payload: Any = None, sink: Progress | None = None
) -> ProcessRunner:
    [found] = handlers_of(function)
    job = JobRequest.parse({"type": found.job_type, "jobId": JobRequest(type="x").job_id})
    facts = AttemptFacts(job=job, attempt=1, epoch=1, incarnation=1)
    return ProcessRunner(found, payload, facts, sink or Progress(), pool)


async def outcome(pool: ProcessPool, function: Any, payload: Any = None) -> HandlerOutcome:
    return await asyncio.wait_for(runner(pool, function, payload).start(), 60)


async def result(pool: ProcessPool, function: Any, payload: Any = None) -> Any:
    found = await outcome(pool, function, payload)
    assert isinstance(found, Completed), found
    return found.result


async def failure(pool: ProcessPool, function: Any, payload: Any = None) -> str:
    found = await outcome(pool, function, payload)
    assert isinstance(found, AttemptFailed), found
    return f"{found.error.type}: {found.error.message}"


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    """One process, shared by the tests: each of them may cost it."""
    shared = process_pool([MODULE], size=1)
    shared.start()
    yield shared
    shared.close()


@pytest.fixture
def limited(request: pytest.FixtureRequest) -> Iterator[ProcessPool]:
    own = process_pool([MODULE], size=1, **request.param)
    yield own
    own.close()


async def test_a_process_is_used_for_one_job_after_the_other(pool: ProcessPool) -> None:
    assert len({await result(pool, pool_handlers.pid) for _ in range(5)}) == 1


async def test_a_process_is_no_fork_of_the_worker(pool: ProcessPool) -> None:
    server = parent_of(await result(pool, pool_handlers.pid))
    assert parent_of(server) == os.getpid()
    assert threads_of(server) == 1
    assert "fork_server" in command_of(server)


@pytest.mark.parametrize("limited", [{"max_jobs": 2}], indirect=True)
async def test_a_process_is_replaced_after_its_number_of_jobs(limited: ProcessPool) -> None:
    pids = [await result(limited, pool_handlers.pid) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    await until_gone(pids[0])


@pytest.mark.parametrize("limited", [{"max_mib": 256}], indirect=True)
async def test_a_process_that_holds_too_much_memory_is_replaced(limited: ProcessPool) -> None:
    small = await result(limited, pool_handlers.hold, 1)
    large = await result(limited, pool_handlers.hold, 300)
    assert small == large
    await until_gone(large)
    assert await result(limited, pool_handlers.pid) != large


async def test_a_job_finds_nothing_of_the_one_before_but_module_state(
    pool: ProcessPool, tmp_path: Path
) -> None:
    before = await result(pool, pool_handlers.look)
    spoilt = await result(pool, pool_handlers.spoil, str(tmp_path))
    after = await result(pool, pool_handlers.look)
    assert spoilt == after["pid"] == before["pid"]
    assert after.pop("calls") == before.pop("calls") + 2
    assert after == before


async def test_a_job_finds_no_setting_that_the_one_before_has_changed(pool: ProcessPool) -> None:
    """What can be put back costs no process; what cannot be may cost it."""
    before = await result(pool, pool_handlers.settings)
    pid = await result(pool, pool_handlers.change, list(pool_handlers.CHANGES))
    assert await result(pool, pool_handlers.settings) == before
    assert await result(pool, pool_handlers.pid) == pid
    for name in pool_handlers.LASTING:
        pid = await result(pool, pool_handlers.change, [name])
        assert await result(pool, pool_handlers.settings) == before, name
    assert await result(pool, pool_handlers.pid) != pid, "the daemon runs on beside other jobs"


@pytest.mark.parametrize("code", [0, 3])
async def test_a_process_that_exits_fails_its_job_and_is_replaced(
    pool: ProcessPool, code: int
) -> None:
    before = await result(pool, pool_handlers.pid)
    reason = await failure(pool, pool_handlers.leave, code)
    assert reason == f"ProcessDied: the handler's process ended with exit code {code}"
    assert await result(pool, pool_handlers.pid) != before


async def test_a_process_that_is_killed_fails_its_job_and_is_replaced(
    pool: ProcessPool, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    ending = runner(pool, pool_handlers.sleep, str(file)).start()
    pid = await pid_in(file)
    os.kill(pid, signal.SIGKILL)
    found = await ending
    assert isinstance(found, AttemptFailed)
    assert found.error.message == "the handler's process ended with exit code -9"
    assert await result(pool, pool_handlers.pid) != pid


async def test_an_idle_process_that_ended_is_replaced(pool: ProcessPool) -> None:
    pid = await result(pool, pool_handlers.pid)
    os.kill(pid, signal.SIGKILL)
    await until_gone(pid)
    assert await result(pool, pool_handlers.pid) != pid


@pytest.mark.parametrize("function", [pool_handlers.sleep, pool_handlers.heed])
async def test_a_process_that_was_stopped_meets_no_other_job(
    pool: ProcessPool, tmp_path: Path, function: Any
) -> None:
    file = tmp_path / "pid"
    run = runner(pool, function, str(file))
    ending = run.start()
    pid = await pid_in(file)
    run.stop()
    await asyncio.wait_for(ending, 60)
    assert not is_alive(pid)
    assert await result(pool, pool_handlers.pid) != pid


async def test_a_job_that_is_stopped_before_it_begins_does_not_run(
    pool: ProcessPool, tmp_path: Path
) -> None:
    before = await result(pool, pool_handlers.pid)
    file = tmp_path / "pid"
    run = runner(pool, pool_handlers.sleep, str(file))
    run.stop()
    await asyncio.wait_for(run.start(), 60)
    assert not file.exists()
    assert await result(pool, pool_handlers.pid) == before


@pytest.mark.parametrize("then", ["return", "die", "wait"])
@pytest.mark.parametrize("child", ["child", "session", "daemon"])
async def test_what_a_job_has_started_ends_before_its_end_is_told(
    pool: ProcessPool, tmp_path: Path, child: str, then: str
) -> None:
    """Whatever it did to hide it, and however the process ends."""
    file = tmp_path / "child"
    before = await result(pool, pool_handlers.pid)
    payload = {"file": str(file), "child": child, "then": then}
    run = runner(pool, pool_handlers.start_child, payload)
    ending = run.start()
    if then == "wait":
        await pid_in(file)
        run.stop()
    await asyncio.wait_for(ending, 60)
    assert not is_alive(await pid_in(file))
    assert not is_alive(before)
    assert await result(pool, pool_handlers.pid) != before


@pytest.mark.parametrize("function", [pool_handlers.start_short_child, pool_handlers.fork])
async def test_a_child_that_ends_with_its_job_costs_nothing(
    pool: ProcessPool, function: Any
) -> None:
    assert await result(pool, function) == await result(pool, pool_handlers.pid)


async def test_a_thread_that_a_job_leaves_costs_the_process(pool: ProcessPool) -> None:
    pid = await result(pool, pool_handlers.start_thread, {"daemon": True})
    other = await result(pool, pool_handlers.start_thread, {"daemon": False})
    assert not is_alive(other)
    assert len({pid, other, await result(pool, pool_handlers.pid)}) == 3
    await until_gone(pid)


async def test_a_thread_of_an_earlier_job_cannot_report_into_the_next(pool: ProcessPool) -> None:
    await result(pool, pool_handlers.report_late)
    sink = Progress()
    found = await runner(pool, pool_handlers.slow, 0.5, sink).start()
    assert isinstance(found, Completed)
    assert sink.steps == [1]


async def test_a_lost_fork_server_costs_its_jobs_and_nothing_else(
    pool: ProcessPool, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    ending = runner(pool, pool_handlers.sleep, str(file)).start()
    pid = await pid_in(file)
    os.kill(parent_of(pid), signal.SIGKILL)
    found = await asyncio.wait_for(ending, 60)
    assert isinstance(found, AttemptFailed)
    assert found.error.type == "ProcessDied"
    await until_gone(pid)
    assert await result(pool, pool_handlers.pid) != pid


async def test_a_module_that_cannot_be_imported_there_fails_its_jobs_alone(
    pool: ProcessPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    text = (
        "import os, pathlib\n"
        "from jobfleet_worker import handler\n"
        f"exec(pathlib.Path({str(tmp_path / 'then')!r}).read_text())\n"
        "@handler('pool.broken', run_in='process')\n"
        "def broken() -> int:\n"
        "    return os.getpid()\n"
    )
    (tmp_path / "broken_there.py").write_text(text)
    (tmp_path / "then").write_text("")
    broken_there = importlib.import_module("broken_there")

    own = process_pool([MODULE, "broken_there"], size=1)
    try:
        for then, error in {
            "raise OSError('no database')": "HandlerImportError",
            "raise SystemExit(3)": "HandlerImportError",
        }.items():
            (tmp_path / "then").write_text(then)
            assert error in await failure(own, broken_there.broken)
            await result(own, pool_handlers.pid)
        (tmp_path / "then").write_text("")
        await result(own, broken_there.broken)
    finally:
        own.close()


async def test_processes_and_what_they_started_end_with_their_worker(tmp_path: Path) -> None:
    file = tmp_path / "child"
    program = (
        "import asyncio, sys\n"
        "from tests.worker.test_process_pool import MODULE, process_pool, runner\n"
        "from tests.worker.pool_handlers import start_child\n"
        "async def main():\n"
        "    pool = process_pool([MODULE], size=2)\n"
        f"    payload = {{'file': {str(file)!r}, 'child': 'session', 'then': 'wait'}}\n"
        "    await runner(pool, start_child, payload).start()\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=root)
    try:
        child = await pid_in(file)
        pool_process = parent_of(child)
    finally:
        worker.kill()
        await worker.wait()
    await until_gone(child)
    await until_gone(pool_process)


async def test_a_closed_pool_leaves_nothing(tmp_path: Path) -> None:
    own = process_pool([MODULE], size=2)
    own.start()
    pid = await result(own, pool_handlers.pid)
    server = parent_of(pid)

    async def has_two() -> bool:
        return len(children_of(server)) == 2

    await eventually("both processes are warm", has_two, seconds=60)
    await asyncio.to_thread(own.close)
    assert not is_alive(pid)
    assert not is_alive(server)
