"""How ``jobfleet worker`` starts and stops."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable

import orjson
import pytest

from tests.cli.conftest import Cli

SLEEPER = """
import asyncio
from jobfleet_worker import handler

@handler("sleep")
async def sleep(payload: float) -> str:
    await asyncio.sleep(payload)
    return "slept"
"""
LOGGING = """
import logging
import structlog
from jobfleet_worker import handler

@handler("log", run_in="process")
def log(payload: None = None) -> None:
    structlog.get_logger().info("spoke.structlog", note="heard")
    logging.getLogger("mine").warning("spoke.logging")
    structlog.get_logger().debug("too.quiet")
    logging.getLogger("mine").debug("too.quiet")
    raise ValueError("no luck")
"""
HOLDING = """
import atexit
import multiprocessing
import pathlib
import time
from jobfleet_worker import handler

def linger() -> None:
    time.sleep(600)

def leave_child() -> None:
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()

@handler("hold")
def hold() -> None:
    atexit.register({callback})
    atexit.register(pathlib.Path("held").touch)  # called first
"""
STARVING = """
import pathlib
import resource
from jobfleet_worker import handler

@handler("starve")
async def starve() -> None:
    pathlib.Path("starved").touch()
    resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
"""
DEAF = """
import signal
from jobfleet_worker import handler

@handler("deafen")
async def deafen(payload: None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
"""
REFUSED = {
    "leaves": ("import sys\nsys.exit(0)\n", "sys.exit(0)"),
    "empty": ("x = 1\n", "no handler"),
    "bare": ("from jobfleet_worker import handler\n@handler\ndef f(p): ...\n", "job type"),
    "values": (
        "from jobfleet_worker import handler\n@handler('x')\ndef f(name: str, age: int): ...\n",
        "def name(payload: Model, context: BlockingJobContext)",
    ),
    "options": (
        "from jobfleet_worker import handler\n@handler('x', timeout=-5)\ndef f(p): ...\n",
        "timeout is -5",
    ),
}


def test_a_handler_module_that_does_not_import_is_exit_2_with_its_traceback(cli: Cli) -> None:
    (cli.folder / "broken.py").write_text("import nothing_of_this_name\n")
    answer = cli.run("worker", "--handlers", "broken")
    assert answer.returncode == 2
    assert 'broken.py", line 1' in answer.stderr
    assert "No module named 'nothing_of_this_name'" in answer.stderr


def test_an_interrupted_import_names_its_module(cli: Cli) -> None:
    (cli.folder / "interrupts.py").write_text("raise KeyboardInterrupt\n")
    answer = cli.run("worker", "--handlers", "interrupts")
    assert answer.returncode == 130
    assert "import.interrupted" in answer.stderr
    assert "interrupts" in answer.stderr.partition("module")[2]


@pytest.mark.parametrize("name", REFUSED)
def test_handlers_that_cannot_be_used_stop_the_start_with_one_line(cli: Cli, name: str) -> None:
    source, cause = REFUSED[name]
    (cli.folder / f"{name}.py").write_text(source)
    answer = cli.run("worker", "--handlers", name)
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: handler module {name!r}")
    assert cause in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_handler_process_logs_as_its_worker_does(cli: Cli, until: Callable[..., None]) -> None:
    (cli.folder / "mine.py").write_text(LOGGING)
    settings = {"JOBFLEET_LOG_FORMAT": "json", "JOBFLEET_LOG_FILE": str(cli.folder / "jobs.log")}
    worker = cli.start("worker", "--handlers", "mine", **settings)
    [job] = cli.publish("--type", "log", "--max-attempts", "1")
    until(lambda: "job.ended" in cli.log, "the job to end")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    for text in (cli.log, (cli.folder / "jobs.log").read_text()):
        lines = {entry["event"]: entry for entry in map(orjson.loads, text.splitlines())}
        assert "too.quiet" not in lines
        assert lines["spoke.logging"]["library"] == "mine"
        assert lines["spoke.structlog"]["note"] == "heard"
        for event in ("spoke.structlog", "spoke.logging", "attempt.failed"):
            found = {key: lines[event][key] for key in ("job_id", "type", "attempt")}
            assert found == {"job_id": job, "type": "log", "attempt": 1}
        assert lines["attempt.failed"]["error"] == "ValueError: no luck"
        assert "Traceback (most recent call last)" in lines["attempt.failed"]["exception"]


def test_handlers_of_the_folder_run_and_a_signal_lets_them_finish(
    cli: Cli, until: Callable[..., None]
) -> None:
    (cli.folder / "mine.py").write_text(SLEEPER)
    worker = cli.start("worker", "--handlers", "mine")
    [job] = cli.publish("--type", "sleep", "--payload", "1")
    until(lambda: "job.started" in cli.log, "the job to start")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 0
    assert "\tCompleted\t" in cli.run("jobs", "show", job).stdout


def test_a_second_signal_ends_it_at_once(cli: Cli, until: Callable[..., None]) -> None:
    (cli.folder / "mine.py").write_text(SLEEPER)
    worker = cli.start("worker", "--handlers", "mine")
    cli.publish("--type", "sleep", "--payload", "60")
    until(lambda: "job.started" in cli.log, "the job to start")
    worker.send_signal(signal.SIGTERM)
    until(lambda: "worker.draining" in cli.log, "the worker to drain")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(5) == -signal.SIGTERM


def test_bad_options_name_their_variable(cli: Cli) -> None:
    answer = cli.run("worker", "--concurrency", "0")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: JOBFLEET_CONCURRENCY: ")
    assert cli.run("worker", "--queues", "No!").returncode == 2


EXITS = """
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from jobfleet_worker import handler

async def leave():
    await asyncio.sleep(0.05)
    sys.exit(3)

@handler("exit-in-child", max_attempts=1)
async def exit_in_child() -> None:
    await asyncio.gather(leave())

@handler("thread-left")
def thread_left() -> None:
    threading.Thread(target=time.sleep, args=(120,), name="left-here").start()

pool = ThreadPoolExecutor(2, "idle-pool")

@handler("uses-pool")
def uses_pool() -> int:
    return pool.submit(int).result()

@handler("to-thread-left", timeout=1, max_attempts=1)
async def to_thread_left() -> None:
    # More than the loop's default executor has threads.
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 120) for _ in range(40)))

@handler("sleep")
async def sleep(payload: float) -> str:
    await asyncio.sleep(payload)
    return "slept"
"""


def test_an_exit_in_a_child_task_fails_its_job_alone(cli: Cli, until: Callable[..., None]) -> None:
    (cli.folder / "exits.py").write_text(EXITS)
    worker = cli.start("worker", "--handlers", "exits")
    [beside] = cli.publish("--type", "sleep", "--payload", "2")
    until(lambda: "job.started" in cli.log, "the job to start")
    [job] = cli.publish("--type", "exit-in-child")
    until(lambda: "\tFailed\t" in cli.run("jobs", "show", job).stdout, "the failure")
    assert "SystemExit: 3" in cli.run("jobs", "show", job).stdout
    assert worker.poll() is None
    until(lambda: "\tCompleted\t" in cli.run("jobs", "show", beside).stdout, "its neighbour")
    assert "TakenOver" not in cli.run("jobs", "show", beside).stdout


def test_threads_that_handlers_left_are_named_and_do_not_hold_up_the_end(
    cli: Cli, until: Callable[..., None]
) -> None:
    (cli.folder / "exits.py").write_text(EXITS)
    worker = cli.start("worker", "--handlers", "exits", JOBFLEET_DRAIN_SECONDS="2")
    [left] = cli.publish("--type", "thread-left")
    [stuck] = cli.publish("--type", "to-thread-left")
    until(lambda: "\tCompleted\t" in cli.run("jobs", "show", left).stdout, "the left thread")
    until(lambda: "\tTimedOut\t" in cli.run("jobs", "show", stuck).stdout, "the time limit")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert "worker.threads_left" in cli.log
    assert "left-here" in cli.log


def test_an_idle_thread_pool_of_a_module_does_not_hold_up_the_end(
    cli: Cli, until: Callable[..., None]
) -> None:
    (cli.folder / "exits.py").write_text(EXITS)
    worker = cli.start("worker", "--handlers", "exits")
    [job] = cli.publish("--type", "uses-pool")
    until(lambda: "\tCompleted\t" in cli.run("jobs", "show", job).stdout, "the job")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert "worker.stopped" in cli.log
    assert "worker.threads_left" not in cli.log


def stopped_while_its_exit_is_held_up(
    cli: Cli, until: Callable[..., None], callback: str
) -> subprocess.Popen[str]:
    """Return a worker that has stopped in order and then calls what a handler gave to atexit."""
    (cli.folder / "holds.py").write_text(HOLDING.format(callback=callback))
    worker = cli.start("worker", "--handlers", "holds", JOBFLEET_DRAIN_SECONDS="1")
    [job] = cli.publish("--type", "hold")
    until(lambda: "\tCompleted\t" in cli.run("jobs", "show", job).stdout, "the job")
    worker.send_signal(signal.SIGTERM)
    until((cli.folder / "held").exists, "the callback")
    return worker


@pytest.mark.parametrize(
    ("callback", "named"),
    [("time.sleep, 600", "native code"), ("linger", "in linger"), ("leave_child", "in _exit")],
)
def test_a_callback_of_the_exit_is_named_and_does_not_hold_it_up(
    cli: Cli, until: Callable[..., None], callback: str, named: str
) -> None:
    worker = stopped_while_its_exit_is_held_up(cli, until, callback)
    assert worker.wait(120) == 0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)  # the child that the handler has left
    [line] = [each for each in cli.log.splitlines() if "worker.exit_held_up" in each]
    assert named in line


def test_a_second_signal_ends_a_worker_whose_exit_is_held_up(
    cli: Cli, until: Callable[..., None]
) -> None:
    worker = stopped_while_its_exit_is_held_up(cli, until, "time.sleep, 600")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == -signal.SIGTERM
    assert "worker.exit_held_up" not in cli.log


def test_a_worker_whose_loop_cannot_be_entered_again_says_so_once_and_ends(
    cli: Cli, until: Callable[..., None]
) -> None:
    (cli.folder / "starves.py").write_text(STARVING)
    worker = cli.start("worker", "--handlers", "starves", JOBFLEET_DRAIN_SECONDS="1")
    cli.publish("--type", "starve")
    until((cli.folder / "starved").exists, "the handler")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 1
    assert cli.log.count("worker.loop_lost") == 1
    assert "Too many open files" in cli.log
    assert cli.log.count("handler.exit_ignored") <= 1


def test_a_handler_cannot_make_its_worker_deaf(cli: Cli, until: Callable[..., None]) -> None:
    (cli.folder / "deaf.py").write_text(DEAF)
    worker = cli.start("worker", "--handlers", "deaf")
    cli.publish("--type", "deafen")
    until(lambda: cli.log.count("signal.restored") == 3, "the signals to be taken back")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_a_closed_terminal_drains_the_worker(cli: Cli, until: Callable[..., None]) -> None:
    (cli.folder / "mine.py").write_text(SLEEPER)
    worker = cli.start("worker", "--handlers", "mine")
    [job] = cli.publish("--type", "sleep", "--payload", "1")
    until(lambda: "job.started" in cli.log, "the job to start")
    worker.send_signal(signal.SIGHUP)
    assert worker.wait(30) == 0
    assert "\tCompleted\t" in cli.run("jobs", "show", job).stdout
