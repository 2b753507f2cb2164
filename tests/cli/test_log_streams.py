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
from tests.cli.warm_commands import STREAMS, WarmCommands

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


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmCommands]:
    made = WarmCommands()
    yield made
    made.close()


class Unread:
    """Starts ``jobfleet`` with a standard error that somebody has spoiled."""

    def __init__(self, cli: Cli, warm: WarmCommands) -> None:
        self._cli = cli
        self._warm = warm

    def start(self, *arguments: str, stderr: str | None = None, **environment: str) -> int:
        chosen = self._cli.environment | QUICK | environment
        return self._warm.start(
            *arguments, folder=self._cli.folder, environment=chosen, stderr=stderr
        )

    def run(self, *arguments: str, stderr: str | None = None, **environment: str) -> int:
        return self._warm.wait(self.start(*arguments, stderr=stderr, **environment))

    def runs_jobs(self, *queues: str) -> None:
        payload = '{"steps": 2, "stepSeconds": 0}'
        job = ("publish", "--type", "demo.steps", "--payload", payload, "--wait", "--queue")
        started = {queue: self.start(*job, queue) for queue in queues}
        for queue, pid in started.items():
            assert self._warm.wait(pid) == 0, queue

    def end(self, pid: int) -> int:
        os.kill(pid, signal.SIGTERM)
        return self._warm.wait(pid)


@pytest.fixture
def unread(cli: Cli, warm: WarmCommands) -> Iterator[Unread]:
    yield Unread(cli, warm)
    warm.stop()


def test_workers_whose_log_nobody_takes_run_jobs_and_obey_sigterm(unread: Unread) -> None:
    queues = {stream: stream.replace(" ", "-") for stream in STREAMS}
    workers = {
        stream: unread.start("worker", "--queues", queue, stderr=stream, JOBFLEET_DRAIN_SECONDS="5")
        for stream, queue in queues.items()
    }
    unread.runs_jobs(*queues.values())
    before = {stream: _cpu_seconds(pid) for stream, pid in workers.items()}
    began = time.monotonic()
    time.sleep(1)  # the span over which CPU time is measured
    for stream, pid in workers.items():
        used = (_cpu_seconds(pid) - before[stream]) / (time.monotonic() - began)
        assert used < 0.8, f"the worker spins whose log is: {stream}"
    for stream, pid in workers.items():
        assert unread.end(pid) == 0, stream


def test_a_worker_with_a_full_log_file_runs_jobs_and_obeys_sigterm(unread: Unread) -> None:
    worker = unread.start("worker", JOBFLEET_LOG_FILE="/dev/full")
    unread.runs_jobs("default")
    assert unread.end(worker) == 0


def test_dashboards_whose_log_nobody_takes_accept_jobs_and_obey_sigterm(
    unread: Unread, until: Callable[..., None]
) -> None:
    from jobfleet_cli.local_port import free_port

    for stream in STREAMS:
        port = free_port(0)
        dashboard = unread.start("dashboard", "--port", str(port), stderr=stream)
        until(lambda port=port: _accepts_a_job(port), f"a job to be accepted: {stream}")
        assert unread.end(dashboard) == 0, stream


def _accepts_a_job(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/jobs", b'{"type": "demo.steps"}', headers)
        return connection.getresponse().status == 202
    except OSError:
        return False
    finally:
        connection.close()


def test_head_of_a_workers_log_ends_nothing(cli: Cli, unread: Unread) -> None:
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
        unread.runs_jobs("default")
        os.killpg(worker.pid, signal.SIGTERM)
        assert worker.wait(30) is not None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        worker.stdout.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("command", [("config", "show"), ("publish", "--type", "a"), ("doctor",)])
def test_a_command_whose_standard_error_nobody_takes_still_answers(
    unread: Unread, stream: str, command: tuple[str, ...]
) -> None:
    assert unread.run(*command, stderr=stream) == 0


def test_an_interpreter_that_starts_without_a_standard_error_still_answers(cli: Cli) -> None:
    line = f"exec {sys.executable} -m jobfleet_cli config show >/dev/null 2>&-"
    ended = subprocess.run(["sh", "-c", line], cwd=cli.folder, env=cli.environment, check=False)
    assert ended.returncode == 0


def test_wrong_usage_is_exit_2_also_where_nobody_reads_the_reason(unread: Unread) -> None:
    assert unread.run("worker", "--queues", "No!", stderr="reader gone") == 2


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
