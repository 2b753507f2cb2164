"""The bench measures what it says: figures from contestants whose speed is known."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from devtools.bench import __main__ as command
from devtools.bench import (
    azure_row,
    embedded_row,
    growth,
    hot_tables,
    postgres_row,
    thumbnail_row,
)
from devtools.bench.contestant import Contestant
from devtools.bench.drain import Drain, drain
from devtools.bench.latency import idle_starts
from devtools.bench.report import as_json, table
from devtools.bench.row import Result, measure
from devtools.bench.ticks import VARIABLE, Tick, TickFile, tick
from devtools.servers import RabbitMQServer
from jobfleet_contracts.lease import LockScope

STEADY = """
import sys, time
from devtools.bench.ticks import tick
for number in range(int(sys.argv[1])):
    tick(time.time())
    until = time.perf_counter() + 0.01
    while time.perf_counter() < until:
        pass
time.sleep(60)
"""


AT_ONCE = """
import sys, time
from devtools.bench.ticks import tick
for number in range(int(sys.argv[1])):
    tick(time.time())
time.sleep(60)
"""


def _at_once(folder: Path, *, jobs: int) -> Contestant:
    """Has run all jobs before anybody looks twice."""
    command = [sys.executable, "-c", AT_ONCE, str(jobs)]
    return Contestant(name="at once", folder=folder, submit=lambda _: None, commands=[command])


def _steady(folder: Path, *, jobs: int) -> Contestant:
    """Starts at most a hundred jobs a second, whatever is submitted."""
    return Contestant(
        name="steady",
        folder=folder,
        submit=lambda _: None,
        commands=[[sys.executable, "-c", STEADY, str(jobs)]],
    )


def test_ticks_of_several_writers_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = TickFile(tmp_path / "ticks")
    monkeypatch.setenv(VARIABLE, str(ticks.path))
    monkeypatch.setattr("devtools.bench.ticks._descriptor", None)
    tick(1.5)
    monkeypatch.setattr("devtools.bench.ticks._descriptor", None)
    tick(2.5)
    assert ticks.count() == 2
    assert [each.sent for each in ticks.ticks()] == [1.5, 2.5]
    assert all(isinstance(each, Tick) for each in ticks.ticks())


def test_a_rate_is_that_of_the_workers(tmp_path: Path) -> None:
    found = drain(_steady(tmp_path, jobs=60), 60)
    assert 5 < found.run_per_second <= 101
    assert found.run_cpu_us > 1_000
    assert found.start_seconds > 0


def test_a_worker_that_ends_is_told_with_the_place_of_its_output(tmp_path: Path) -> None:
    broken = Contestant(
        name="broken",
        folder=tmp_path,
        submit=lambda _: None,
        commands=[[sys.executable, "-c", "raise SystemExit('no broker')"]],
    )
    with pytest.raises(RuntimeError, match=r"broken ended with code 1; see .*workers\.log"):
        drain(broken, 10)
    assert "no broker" in (tmp_path / "workers.log").read_text()


def test_a_row_lets_contestants_take_turns_and_closes_each() -> None:
    order: list[str] = []

    def entry(folder: Path, name: str) -> Contestant:
        order.append(name)
        made = _steady(folder, jobs=5)
        return Contestant(
            name=name,
            folder=folder,
            submit=made.submit,
            commands=made.commands,
            close=lambda: order.append(f"{name} closed"),
        )

    entries = [partial(entry, name="a"), partial(entry, name="b")]
    results = measure(entries, jobs=5, repeats=2, say=lambda _: None)
    assert order == ["a", "a closed", "b", "b closed"] * 2
    assert [len(result.drains) for result in results] == [2, 2]


def test_a_report_sets_each_contestant_beside_the_last() -> None:
    fast, slow = Result("fast", limit="slow"), Result("slow")
    for result, rate in ((fast, 3000.0), (slow, 1500.0)):
        result.drains = [
            Drain(100, rate / 60, 10, rate * share, rate / 15, 1) for share in (0.9, 1, 1.5)
        ]
        result.loads, result.paces_ms = [0.5], [20.0]
    line = next(line for line in table("row", [fast, slow]).splitlines() if "fast" in line)
    assert line.split()[1:5] == ["3,000", "(2,700-4,500)", "2.00", "200%"]
    assert line.split()[5:9] == ["200", "2.00", "50", "2.00"]
    assert line.split()[-2:] == ["-", "-"]
    assert as_json([fast])[0]["drains"][0]["run_cpu_us"] == 200
    slow.drains = [replace(each, run_server_us=700, submit_server_us=50) for each in slow.drains]
    assert table("row", [fast, slow]).split()[-2:] == ["700", "50"]
    fast.takes_jobs = False
    line = next(line for line in table("row", [fast, slow]).splitlines() if "fast" in line)
    assert line.split()[7:10] == ["-", "-", "-"]


@pytest.mark.system
def test_jobfleet_and_huey_work_off_what_the_bench_submits(tmp_path: Path) -> None:
    for name in ("jobfleet", "huey"):
        (tmp_path / name).mkdir()
    jobfleet = embedded_row.jobfleet(tmp_path / "jobfleet", processes=2, concurrency=10)
    huey = embedded_row.huey(tmp_path / "huey", workers=1, kind="thread")
    assert drain(jobfleet, 40).jobs == drain(huey, 40).jobs == 40


@pytest.mark.servers
@pytest.mark.full
def test_the_cpu_time_of_a_server_of_its_own_is_measured_beside_the_workers(
    tmp_path: Path,
) -> None:
    (tmp_path / "procrastinate").mkdir()
    procrastinate = postgres_row.procrastinate(
        tmp_path / "procrastinate", processes=1, concurrency=10
    )
    try:
        found = drain(procrastinate, 200)
    finally:
        procrastinate.close()
    assert found.submit_server_us is not None
    assert found.run_server_us is not None
    assert found.submit_server_us + found.run_server_us > 10


@pytest.mark.servers
@pytest.mark.parametrize("scope", ["job", "worker"])
def test_the_bare_requests_of_each_scope_are_sent(tmp_path: Path, scope: LockScope) -> None:
    bare = azure_row.bare(tmp_path, scope=scope)
    try:
        assert drain(bare, 40).jobs == 40
    finally:
        bare.close()


def test_jobs_that_are_all_done_between_two_looks_are_measured(tmp_path: Path) -> None:
    assert drain(_at_once(tmp_path, jobs=40), 40).run_per_second > 0


@pytest.mark.system
def test_growth_is_measured_with_jobs_stored() -> None:
    few, many = growth.embedded([10, 300], jobs=20)
    assert (few.stored, many.stored, many.requests) == (10, 300, None)
    assert all(one.run_per_second > 0 and one.history_ms > 0 for one in (few, many))
    assert "300" in growth.table([few, many]).splitlines()[-1]
    assert growth.as_json([many])[0]["stored"] == 300


@pytest.mark.servers
@pytest.mark.full
def test_celery_with_a_result_backend_keeps_each_result(
    tmp_path: Path, rabbitmq: RabbitMQServer
) -> None:
    folder = tmp_path / f"celery-{uuid4().hex[:8]}"
    folder.mkdir()
    celery = azure_row.celery_with_results(folder, rabbitmq=rabbitmq, pool=2)
    try:
        assert drain(celery, 40).jobs == 40
    finally:
        celery.close()


@pytest.mark.servers
@pytest.mark.full
def test_the_sizes_of_hot_tables_are_told_after_each_part() -> None:
    found = hot_tables.measure(200, part=100)
    assert [one.done for one in found] == [100, 200]
    assert all(one.kib.keys() == set(hot_tables.TABLES) for one in found)
    assert all(one.kib["messages"] > 0 and one.run_per_second > 0 for one in found)
    assert hot_tables.table(found).splitlines()[-1].split()[0] == "200"


@pytest.mark.system
def test_thumbnails_are_made_in_processes(tmp_path: Path) -> None:
    assert drain(thumbnail_row.embedded(tmp_path, pool=2), 30).jobs == 30


@pytest.mark.system
def test_an_idle_worker_is_sent_one_job_at_a_time(tmp_path: Path) -> None:
    waits = idle_starts(embedded_row.huey(tmp_path, workers=1, kind="thread"), 5)
    assert len(waits) == 5
    assert all(0 < wait < 30_000 for wait in waits)


def test_an_unknown_row_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["embeded"])
    message = (
        "there is no row embeded; rows are embedded, postgres, azure, thumbnails, growth, tables"
    )
    assert message in capsys.readouterr().err


@pytest.mark.system
def test_every_figure_goes_into_the_json_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "EMBEDDED", (partial(_steady, jobs=20),))
    monkeypatch.setattr(command, "keep_quiet", lambda: None)
    file = tmp_path / "figures.json"
    command.main(["embedded", "--jobs", "20", "--repeats", "1", "--idle", "0", "--json", str(file)])
    report = json.loads(file.read_text())
    assert report["machine"]["cores"]
    assert report["rows"]["embedded"][0]["drains"][0]["jobs"] == 20
    assert "steady" in capsys.readouterr().out
