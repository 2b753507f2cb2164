"""What ``jobfleet audit`` finds, writes and repairs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from tests.cli.conftest import Cli


def _sql(cli: Cli, statement: str, *values: object) -> None:
    """Write past the triggers that keep honest programs from rewriting the trail."""
    path = cli.folder / ".jobfleet" / "jobfleet.db"
    with closing(sqlite3.connect(path)) as database, database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute(statement, values)


def _rows(cli: Cli, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(cli.folder / ".jobfleet" / "jobfleet.db")) as database:
        return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with one job that completed, and its id."""
    cli = Cli(tmp_path_factory.mktemp("stored"))
    worker = cli.start("worker")
    payload = '{"steps": 2, "stepSeconds": 0}'
    answer = cli.run("publish", "--type", "demo.steps", "--payload", payload, "--wait")
    assert answer.returncode == 0, answer.stderr
    worker.terminate()
    assert worker.wait() == 0
    return cli.folder, answer.stdout.split()[0]


@pytest.fixture(scope="module", autouse=True)
def removing(
    tmp_path_factory: pytest.TempPathFactory, stored: tuple[Path, str]
) -> Iterator[tuple[Cli, subprocess.Popen[str]]]:
    """A copy of the folder, its heads, and a worker that removes the history: it takes a minute.

    It begins before the first test, so that only the last one may have to wait.
    """
    cli = Cli(tmp_path_factory.mktemp("removing"))
    shutil.copytree(stored[0], cli.folder, dirs_exist_ok=True)
    assert cli.run("audit", "heads", "--out", "heads.jsonl").returncode == 0
    yield cli, cli.start("worker", JOBFLEET_RETENTION_DAYS="0.00001")
    cli.stop()


@pytest.fixture
def finished(cli: Cli, stored: tuple[Path, str]) -> str:
    """The id of that job, in a copy of its folder."""
    shutil.copytree(stored[0], cli.folder, dirs_exist_ok=True)
    return stored[1]


def test_a_trail_that_nobody_touched_is_exit_0(cli: Cli, finished: str) -> None:
    answer = cli.run("audit", "verify", "--index", "--json")
    assert answer.returncode == 0
    assert orjson.loads(answer.stdout)["violations"] == 0


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DELETE FROM trail WHERE job_id = ? AND sequence = 2", 1),
        ("UPDATE trail SET state = 'failed' WHERE job_id = ? AND status = 'Completed'", 2),
        ("UPDATE trail SET epoch = epoch + 1 WHERE job_id = ? AND status = 'Completed'", 5),
        ("UPDATE trail SET worker_id = 'x' WHERE job_id = ? AND status = 'Completed'", 6),
    ],
)
def test_a_tampered_row_is_exit_1_naming_job_event_and_rule(
    cli: Cli, finished: str, statement: str, rule: int
) -> None:
    _sql(cli, statement, finished)
    answer = cli.run("audit", "verify", "--job", finished)
    assert answer.returncode == 1
    assert f"VIOLATION  job {finished}  event " in answer.stdout
    assert f"rule {rule} (" in answer.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trail SET message = 'nothing' WHERE job_id = ? AND status = 'Completed'",
        "UPDATE trail SET duration_ms = 1 WHERE job_id = ? AND status = 'Completed'",
        "UPDATE trail SET data = '{\"result\":3}' WHERE job_id = ? AND status = 'Completed'",
    ],
)
def test_a_changed_message_duration_or_result_of_an_old_row_is_found(
    cli: Cli, finished: str, statement: str
) -> None:
    _sql(cli, statement, finished)
    answer = cli.run("audit", "verify", "--json")
    found = orjson.loads(answer.stdout.splitlines()[0])
    assert (answer.returncode, found["rule"], found["jobId"]) == (1, 12, finished)


def test_heads_kept_elsewhere_show_a_tail_that_is_missing_and_a_job_that_is_gone(
    cli: Cli, finished: str
) -> None:
    [waiting] = cli.publish("--type", "demo.steps")
    assert cli.run("audit", "heads", "--out", "heads.jsonl").returncode == 0
    assert cli.run("audit", "verify", "--heads", "heads.jsonl").returncode == 0
    _sql(cli, "DELETE FROM trail WHERE job_id = ? AND status = 'Completed'", finished)
    _sql(cli, "DELETE FROM trail WHERE job_id = ?", waiting)
    assert cli.run("audit", "verify").returncode == 0
    answer = cli.run("audit", "verify", "--heads", "heads.jsonl", "--json")
    found = [orjson.loads(line) for line in answer.stdout.splitlines()]
    rules = {(one["rule"], one["jobId"]) for one in found if one.get("rule") == 12}
    assert (answer.returncode, rules) == (1, {(12, finished), (12, waiting)})
    alone = cli.run("audit", "verify", "--job", finished, "--heads", "heads.jsonl", "--json")
    named = [orjson.loads(line).get("jobId") for line in alone.stdout.splitlines()]
    assert (alone.returncode, named) == (1, [finished, None])


def test_a_file_that_holds_no_heads_is_refused_by_its_line(cli: Cli, finished: str) -> None:
    (cli.folder / "heads.jsonl").write_text("\n[]\n")
    answer = cli.run("audit", "verify", "--heads", "heads.jsonl")
    assert answer.returncode == 2
    assert "line 2 of heads.jsonl" in answer.stderr


def test_large_data_are_checked_with_data_alone(cli: Cli, finished: str) -> None:
    cli.publish("--type", "demo.steps", "--payload", f'"{"x" * 40_000}"')
    assert cli.run("audit", "verify", "--data").returncode == 0
    _sql(cli, "UPDATE payloads SET body = ?", b'{"request":{}}')
    assert cli.run("audit", "verify").returncode == 0
    answer = cli.run("audit", "verify", "--data")
    assert (answer.returncode, answer.stdout.count("rule 12 ")) == (1, 1)
    _sql(cli, "DELETE FROM payloads")
    answer = cli.run("audit", "verify", "--data")
    assert (answer.returncode, answer.stdout.count("is missing")) == (1, 1)


def test_a_row_that_cannot_be_read_is_named_shown_and_exported_and_closes_nothing(
    cli: Cli, finished: str
) -> None:
    [waiting] = cli.publish("--type", "demo.steps")
    _sql(cli, "UPDATE trail SET data = '{no JSON' WHERE job_id = ?", waiting)
    for chosen in (["--json"], ["--job", waiting, "--json"]):
        answer = cli.run("audit", "verify", *chosen)
        found = orjson.loads(answer.stdout.splitlines()[0])
        assert (answer.returncode, found["rule"], found["jobId"]) == (1, 3, waiting)
        assert "Traceback" not in answer.stderr
    assert cli.run("audit", "export", "--job", waiting).stdout.count("Unreadable") == 1
    assert "Unreadable" in cli.run("jobs", "show", waiting).stdout
    assert cli.run("audit", "rebuild").returncode == 0
    assert _rows(cli, "SELECT job_id FROM open_jobs") == [(waiting,)]


def test_an_export_with_lost_data_holds_the_rest_and_is_exit_1(cli: Cli, finished: str) -> None:
    [large] = cli.publish("--type", "demo.steps", "--payload", f'"{"x" * 40_000}"')
    _sql(cli, "DELETE FROM payloads")
    answer = cli.run("audit", "export", "--out", "trail.jsonl")
    assert answer.returncode == 1
    assert f"data of event 1 of job {large} is missing" in answer.stderr
    exported = (cli.folder / "trail.jsonl").read_text()
    assert finished in exported
    assert large in exported


def test_a_job_without_trail_cannot_be_verified(cli: Cli) -> None:
    assert cli.run("audit", "verify", "--job", str(uuid4())).returncode == 1


def test_an_export_writes_to_a_pipe_or_device_and_replaces_none(cli: Cli, finished: str) -> None:
    os.mkfifo(cli.folder / "pipe")
    reader = os.open(cli.folder / "pipe", os.O_RDWR)
    assert cli.run("audit", "export", "--job", finished, "--out", "pipe").returncode == 0
    assert finished in os.read(reader, 65_536).decode()
    assert (cli.folder / "pipe").is_fifo()
    os.close(reader)


def test_export_writes_each_event_once_in_order(cli: Cli, finished: str) -> None:
    assert cli.run("audit", "export", "--out", "trail.jsonl").returncode == 0
    lines = (cli.folder / "trail.jsonl").read_text().splitlines()
    events = [orjson.loads(line) for line in lines]
    assert {event["jobId"] for event in events} == {finished}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["data"]["request"]["type"] == "demo.steps"
    newest = orjson.loads(cli.run("audit", "heads").stdout)
    assert (newest["sequence"], newest["hash"]) == (len(events), events[-1]["hash"])


def test_a_lost_open_row_is_drift_until_the_index_is_rebuilt(cli: Cli, finished: str) -> None:
    [waiting] = cli.publish("--type", "demo.steps")
    _sql(cli, "DELETE FROM open_jobs WHERE job_id = ?", waiting)
    assert cli.run("audit", "verify").returncode == 0
    drifted = cli.run("audit", "verify", "--index")
    assert drifted.returncode == 1
    assert f"drift  job {waiting}" in drifted.stdout
    assert cli.run("audit", "rebuild").returncode == 0
    assert cli.run("audit", "verify", "--index").returncode == 0


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE control_log SET occurred_at = 'aaaa' WHERE sequence = 1", "entry 1: the row"),
        ("UPDATE control_log SET details = '[' WHERE sequence = 1", "entry 1: the row"),
        ("UPDATE control_log SET state = '[]' WHERE sequence = 1", "entry 1: the row"),
        ("UPDATE trail SET job_id = '../../x' WHERE sequence = 2", "job ../../x  event 2"),
        ("UPDATE trail SET due_at = 'x' WHERE sequence = 2", "event 2 "),
        ("UPDATE trail SET occurred_at = '0001-01-01T00:00:00+23:59'", "event 2 "),
        ("UPDATE payloads SET body = x'ff'", "cannot be read"),
        ("UPDATE payloads SET body = x'5b5d'", "cannot be read"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_ends_neither_check_nor_export(
    cli: Cli, finished: str, statement: str, named: str
) -> None:
    cli.publish("--type", "demo.steps", "--payload", f'"{"x" * 40_000}"')
    assert cli.run("queues", "pause", "mail").returncode == 0
    before = len(cli.run("audit", "export").stdout.splitlines())
    _sql(cli, statement)
    answer = cli.run("audit", "verify", "--data")
    assert (answer.returncode, answer.stderr) == (1, ""), answer.stderr
    assert "VIOLATION" in answer.stdout
    assert named in answer.stdout
    for raw in ((), ("--raw",)):
        export = cli.run("audit", "export", *raw)
        assert "Traceback" not in export.stderr
        assert len(export.stdout.splitlines()) == before


def test_a_removed_history_is_shown_as_such_verified_and_not_brought_back(
    removing: tuple[Cli, subprocess.Popen[str]],
    stored: tuple[Path, str],
    until: Callable[..., None],
) -> None:
    (cli, worker), finished = removing, stored[1]
    until(
        lambda: _rows(cli, "SELECT job_id FROM trail") == [(finished,)],
        "one event to be left",
        seconds=200,
    )
    worker.terminate()
    assert worker.wait() == 0
    assert cli.run("audit", "export", "--job", finished).stdout.count("\n") == 1
    assert "history removed after 1e-05 days" in cli.run("jobs", "show", finished).stdout
    refused = cli.run("jobs", "redrive", finished)
    assert refused.returncode == 1
    assert "history removed" in refused.stderr + refused.stdout
    verified = cli.run("audit", "verify", "--index")
    assert (verified.returncode, verified.stdout.split(",")[1]) == (0, " 1 events")
    compared = cli.run("audit", "verify", "--heads", "heads.jsonl")
    assert (compared.returncode, compared.stdout.strip().rpartition(", ")[2]) == (
        0,
        "1 removedHeads",
    )
