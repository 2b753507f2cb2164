"""Whole fleets on this machine: ``demo``, ``up`` and several workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from urllib.request import urlopen

import orjson
import psutil
import pytest

from jobfleet_cli.dashboard_process import _say
from tests.cli.conftest import Cli
from tests.dashboard.api.conftest import options_with

pytestmark = pytest.mark.system


def _statuses(cli: Cli) -> Counter[tuple[str, str]]:
    events = cli.run("audit", "export").stdout.splitlines()
    return Counter((event["jobId"], event["status"]) for event in map(orjson.loads, events))


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert re.fullmatch(r"Dashboard: http://127\.0\.0\.1:\d+\n", line)
    return line.removeprefix("Dashboard: ").strip()


def test_the_demo_ends_with_its_count_and_leaves_nothing_running(cli: Cli) -> None:
    demo = cli.start("demo", "--jobs", "6", "--exit-when-done", "--port", "0")
    address = _address(demo)
    with urlopen(f"{address}/livez") as answer:  # noqa: S310 - our own address
        assert answer.status == 200
    children = psutil.Process(demo.pid).children(recursive=True)
    assert demo.wait(60) == 0
    assert demo.stdout is not None
    assert demo.stdout.read().splitlines()[-1] == "6 completed, 0 failed"
    assert not [child for child in children if child.is_running()]
    folder = cli.folder / ".jobfleet" / "demo"
    shown = cli.run(
        "schedules", "history", "count-penguins", "--json", JOBFLEET_DATA_DIR=str(folder)
    )
    assert orjson.loads(shown.stdout)["items"][-1]["kind"] == "Declared"
    chart = folder / "penguins-1.svg"
    assert chart.read_text().count("<circle") == 342 + 3  # two birds were not measured


def test_two_workers_complete_each_of_a_hundred_jobs_once(
    cli: Cli, until: Callable[..., None]
) -> None:
    workers = [cli.start("worker"), cli.start("worker")]
    until(lambda: cli.log.count("worker.started") == 2, "both workers to start")
    payload = '{"steps": 1, "stepSeconds": 0}'
    jobs = cli.publish("--type", "demo.steps", "--payload", payload, "--count", "100", "--wait")
    for worker in workers:
        worker.terminate()
    assert [worker.wait(30) for worker in workers] == [0, 0]
    statuses = _statuses(cli)
    assert [statuses[job, "Completed"] for job in jobs] == [1] * 100
    verified = cli.run("audit", "verify", "--index")
    assert verified.returncode == 0, verified.stdout


def test_ctrl_c_of_up_hands_running_jobs_back_and_leaves_nothing_running(
    cli: Cli, until: Callable[..., None]
) -> None:
    up = cli.start("up", "--workers", "2", "--port", "0", JOBFLEET_DRAIN_SECONDS="0.5")
    _address(up)
    payload = '{"steps": 60, "stepSeconds": 1}'
    [job] = cli.publish("--type", "demo.steps", "--payload", payload)
    until(lambda: _statuses(cli)[job, "Started"], "the job to start")
    children = psutil.Process(up.pid).children(recursive=True)
    assert len(children) >= 3
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    assert not [child for child in children if child.is_running()]
    assert _statuses(cli)[job, "Deferred"] == 1


def test_up_starts_a_dead_worker_again(cli: Cli, until: Callable[..., None]) -> None:
    up = cli.start("up", "--workers", "1", "--port", "0")
    _address(up)
    [first] = _workers(up)
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: [w for w in _workers(up) if w.pid != first.pid], "another worker")
    assert "child.died" in cli.log
    up.terminate()
    assert up.wait(30) == 0


def test_children_stop_when_their_parent_is_killed(cli: Cli, until: Callable[..., None]) -> None:
    up = cli.start("up", "--workers", "1", "--port", "0")
    _address(up)
    children = psutil.Process(up.pid).children(recursive=True)
    assert children
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    until(lambda: not [c for c in children if c.is_running()], "the children to stop")


def test_up_ends_with_exit_2_when_the_handlers_do_not_import(cli: Cli) -> None:
    up = cli.start("up", "--workers", "1", "--port", "0", JOBFLEET_HANDLERS="no.such.module")
    assert up.wait(30) == 2
    assert "handler module 'no.such.module' is not found" in cli.log


def test_a_port_in_use_is_named(cli: Cli) -> None:
    dashboard = cli.start("dashboard", "--port", "0")
    port = _address(dashboard).rpartition(":")[2]
    for command in ("up", "demo", "dashboard"):
        answer = cli.run(command, "--port", port)
        assert answer.returncode == 2
        assert port in answer.stderr
        assert "--port" in answer.stderr


def _workers(up: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(up.pid).children()
    return [child for child in children if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "worker" in process.cmdline()
    except psutil.NoSuchProcess:  # just killed
        return False


@pytest.mark.parametrize(
    "command",
    [
        ("up", "--workers", "1", "--port", "0"),
        ("dashboard", "--port", "0"),
        ("demo", "--port", "0"),
    ],
    ids=lambda words: words[0],
)
def test_a_closed_terminal_stops_in_order_however_often_it_says_so(
    cli: Cli, command: tuple[str, ...]
) -> None:
    process = cli.start(*command)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Dashboard: http://127.0.0.1:")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    assert "child.killed" not in cli.log


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("127.0.0.1", "http://127.0.0.1:8000"),
    ],
)
def test_the_dashboard_says_an_address_that_a_browser_can_open(
    host: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _say(options_with(host=host))(8000)
    assert capsys.readouterr().out.split()[1] == address
