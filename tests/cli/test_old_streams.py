"""Logging is never a condition of work: what nobody takes is dropped and counted."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from jobfleet_cli.console_line import ConsoleLine
from jobfleet_cli.log_json import json_line
from jobfleet_cli.log_writer import LINES_DROPPED, LogWriter
from tests.cli.conftest import Cli

QUICK = {"JOBFLEET_LOG_LEVEL": "debug", "JOBFLEET_METRICS_PORT": "0"}


class Unprintable:
    """What user code may hand to a log call."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


ODD = ["\ud800", 2**70, Unprintable(), {"a": Unprintable()}, b"\xff", float("nan"), {1: {2}}]


@pytest.mark.parametrize("value", ODD, ids=[type(value).__name__ for value in ODD])
@pytest.mark.parametrize("render", [json_line, ConsoleLine(colours=False)])
def test_an_entry_that_cannot_be_rendered_is_still_one_line(render: Any, value: Any) -> None:
    entry = {"timestamp": "2026-01-31T09:30:00Z", "level": "info", "event": "x.y", "value": value}
    line = render(None, "info", entry)
    assert "x.y" in line
    assert "\n" not in line


def test_lines_that_a_destination_refuses_are_counted_and_told_once_it_takes_lines_again() -> None:
    written: list[str] = []
    full = threading.Event()
    full.set()

    def put(line: str) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")
        written.append(line)

    writer = LogWriter(put, render=json_line)
    for number in range(3):
        writer.write(f"lost {number}")
    writer.drain()
    full.clear()
    writer.write("kept")
    writer.drain()
    assert writer.dropped == 3
    assert json.loads(written[0])["event"] == LINES_DROPPED
    assert json.loads(written[0])["lines"] == 3
    assert written[1:] == ["kept"]


def test_a_destination_that_takes_nothing_never_holds_up_the_one_who_logs() -> None:
    taken = threading.Event()
    writer = LogWriter(lambda _line: taken.wait(), render=json_line, limit=10)  # type: ignore[arg-type]
    for number in range(1000):
        writer.write(str(number))
    assert writer.dropped >= 980
    writer.drain(0.01)
    taken.set()


def test_a_stream_that_was_closed_drops_lines() -> None:
    stream = io.StringIO()
    stream.close()
    from jobfleet_cli.log_writer import stream_writer

    writer = LogWriter(stream_writer(stream), render=json_line)
    writer.write("lost")
    writer.drain()
    assert writer.dropped == 1


class Unread:
    """Starts ``jobfleet`` with a standard error that somebody spoils."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, stderr: int | None, **environment: str) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobfleet_cli", *arguments],
            cwd=self._cli.folder,
            env=self._cli.environment | QUICK | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            start_new_session=True,
            preexec_fn=None if stderr is not None else _close_stderr,  # noqa: PLW1509
        )
        self._started.append(process)
        return process

    def stop(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _close_stderr() -> None:
    os.close(2)


@pytest.fixture
def unread(cli: Cli) -> Iterator[Unread]:
    made = Unread(cli)
    yield made
    made.stop()


def _reader_gone() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def _reader_asleep(kept: list[int]) -> int:
    reading, writing = os.pipe()
    kept.append(reading)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 65536):
            pass
    os.set_blocking(writing, True)
    return writing


STREAMS = ("closed", "reader gone", "reader asleep", "full disk")


@pytest.fixture(params=STREAMS)
def stderr(request: pytest.FixtureRequest) -> Iterator[int | None]:
    kept: list[int] = []
    makers: dict[str, Callable[[], int | None]] = {
        "closed": lambda: None,
        "reader gone": _reader_gone,
        "reader asleep": lambda: _reader_asleep(kept),
        "full disk": lambda: os.open("/dev/full", os.O_WRONLY),
    }
    number = makers[request.param]()
    yield number
    for each in (*kept, *([number] if number is not None else [])):
        os.close(each)


def test_a_worker_whose_log_nobody_takes_runs_jobs_and_obeys_sigterm(
    cli: Cli, unread: Unread, stderr: int | None, until: Callable[..., None]
) -> None:
    worker = unread.start("worker", stderr=stderr, JOBFLEET_DRAIN_SECONDS="5")
    payload = '{"steps": 2, "stepSeconds": 0}'
    answer = cli.run("publish", "--type", "demo.steps", "--payload", payload, "--wait")
    assert answer.returncode == 0, answer.stderr
    before = _cpu_seconds(worker.pid)
    began = time.monotonic()
    time.sleep(1)
    used = (_cpu_seconds(worker.pid) - before) / (time.monotonic() - began)
    assert used < 0.8, "the worker spins"
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_worker_with_a_full_log_file_runs_jobs_and_obeys_sigterm(
    cli: Cli, unread: Unread
) -> None:
    errors = os.open(os.devnull, os.O_WRONLY)
    worker = unread.start("worker", stderr=errors, JOBFLEET_LOG_FILE="/dev/full")
    os.close(errors)
    payload = '{"steps": 2, "stepSeconds": 0}'
    answer = cli.run("publish", "--type", "demo.steps", "--payload", payload, "--wait")
    assert answer.returncode == 0, answer.stderr
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_dashboard_whose_log_nobody_takes_accepts_jobs_and_obeys_sigterm(
    cli: Cli, unread: Unread, stderr: int | None, until: Callable[..., None]
) -> None:
    from jobfleet_cli.local_port import free_port

    port = free_port(0)
    dashboard = unread.start("dashboard", "--port", str(port), stderr=stderr)

    def accepted() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/api/jobs", b'{"type": "demo.steps"}', headers)
            return connection.getresponse().status == 202
        except OSError:
            return False
        finally:
            connection.close()

    until(accepted, "a job to be accepted")
    dashboard.terminate()
    assert dashboard.wait(30) == 0


def test_head_of_a_workers_log_ends_nothing(cli: Cli, until: Callable[..., None]) -> None:
    worker = subprocess.Popen(
        ["sh", "-c", f"exec {sys.executable} -m jobfleet_cli worker 2>&1 | head -1"],
        cwd=cli.folder,
        env=cli.environment | QUICK,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("{")
        payload = '{"steps": 2, "stepSeconds": 0}'
        answer = cli.run("publish", "--type", "demo.steps", "--payload", payload, "--wait")
        assert answer.returncode == 0, answer.stderr
        os.killpg(worker.pid, signal.SIGTERM)
        assert worker.wait(30) is not None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        worker.stdout.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("command", [("config", "show"), ("publish", "--type", "a"), ("doctor",)])
def test_a_command_whose_standard_error_nobody_takes_still_answers(
    unread: Unread, stderr: int | None, command: tuple[str, ...]
) -> None:
    assert unread.start(*command, stderr=stderr).wait(60) == 0


def test_wrong_usage_is_exit_2_also_where_nobody_reads_the_reason(unread: Unread) -> None:
    number = _reader_gone()
    assert unread.start("worker", "--queues", "No!", stderr=number).wait(60) == 2
    os.close(number)


def _cpu_seconds(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


LATE = """
import structlog
from jobfleet_backends.settings import Settings
from jobfleet_cli.logging import configure_logging

configure_logging(Settings(_env_file=None))

class Late:
    def __del__(self):
        structlog.get_logger().error("collected.late")

kept = Late()
kept.itself = kept
"""


@pytest.mark.parametrize("before", ["", "structlog.get_logger().error('x.y')\n"])
def test_what_is_logged_while_the_interpreter_ends_does_not_keep_it(before: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LATE + before], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 0
