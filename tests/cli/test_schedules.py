"""``jobfleet schedules`` as a user types it, and what ``audit`` says of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import orjson
import pytest

from tests.cli.conftest import Cli

Until = Callable[..., None]


def add(cli: Cli, name: str = "often", *options: str) -> Any:
    base = ("--type", "demo.steps", "--payload", '{"steps": 1, "stepSeconds": 0}')
    return cli.run("schedules", "add", name, *base, *(options or ("--every", "1")), "--json")


def shown(cli: Cli, name: str = "often") -> dict[str, Any]:
    answer = cli.run("schedules", "show", name, "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = orjson.loads(answer.stdout)
    return found


def test_a_schedule_ticks_is_paused_run_resumed_and_removed(cli: Cli, until: Until) -> None:
    added = add(cli, "often", "--every", "1", "--overlap", "allow", "--catch-up", "all")
    assert added.returncode == 0, added.stderr
    assert orjson.loads(added.stdout)["everySeconds"] == 1
    worker = cli.start("worker")
    until(lambda: shown(cli)["lastState"] == "completed", "a tick's job completes")
    paused = cli.run("schedules", "pause", "often", "--reason", "maintenance")
    assert paused.returncode == 0, paused.stderr
    state = shown(cli)
    assert (state["paused"], state["pausedReason"]) == (True, "maintenance")
    ran = cli.run("schedules", "run", "often", "--json")
    assert ran.returncode == 0, ran.stderr
    assert orjson.loads(ran.stdout)["jobId"]
    for note in ("", "schedule often was not paused\n"):
        resumed = cli.run("schedules", "resume", "often")
        assert (resumed.returncode, resumed.stderr) == (0, note)
    assert cli.run("schedules", "remove", "often").returncode == 0
    worker.terminate()
    assert worker.wait() == 0
    assert cli.run("schedules", "show", "often").returncode == 1
    verified = cli.run("audit", "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    assert orjson.loads(verified.stdout)["controlEntries"] >= 6
    exported = cli.run("audit", "export")
    lines = [orjson.loads(line) for line in exported.stdout.splitlines()]
    kinds = [line["kind"] for line in lines if line.get("subject") == "schedule"]
    assert kinds[0] == "Declared"
    assert kinds[-1] == "Removed"
    assert "Fired" in kinds


def test_a_schedule_is_shown_as_json_writes_it_and_each_run_on_a_line_of_its_own(cli: Cli) -> None:
    add(cli, "nightly", "--cron", "0 6 * * *")
    lines = cli.run("schedules", "show", "nightly").stdout.splitlines()
    assert 'payload\t{"steps":1,"stepSeconds":0}' in lines
    assert "paused\tfalse" in lines
    assert len([line for line in lines if line.startswith("nextRuns\t")]) == 5


def test_the_history_says_what_was_changed_from_what_to_what(cli: Cli) -> None:
    add(cli, "nightly", "--cron", "0 6 * * *")
    add(cli, "nightly", "--cron", "0 7 * * *", "--priority", "7")
    changed, declared = cli.run("schedules", "history", "nightly").stdout.splitlines()
    assert changed.endswith("\tcron: 0 6 * * * → 0 7 * * *; priority: - → 7")
    assert "→" not in declared


def test_the_next_times_are_shown_in_utc(cli: Cli) -> None:
    options = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    assert add(cli, "daily", *options).returncode == 0
    answer = cli.run("schedules", "next", "daily", "--count", "3", "--json")
    times = orjson.loads(answer.stdout)["items"]
    assert len(times) == 3
    assert all(time.endswith("Z") for time in times)


def test_a_backfill_repeated_makes_no_new_job(cli: Cli) -> None:
    assert add(cli, "daily", "--cron", "0 6 * * *").returncode == 0
    options = ("--since", "2026-01-01T00:00:00Z", "--until", "2026-01-04T00:00:00Z", "--json")
    for created in (True, False):
        answer = cli.run("schedules", "backfill", "daily", *options)
        assert answer.returncode == 0, answer.stderr
        jobs = [orjson.loads(line) for line in answer.stdout.splitlines()]
        assert [job["created"] for job in jobs] == [created] * 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cron", "0 0 30 2 *"), "cron"),
        (("--cron", "* * * * *", "--timezone", "Mars/X"), "timezone"),
        (("--every", "0.5"), "--every: Input should be greater than or equal to 1"),
        (("--every", "nan"), "--every: Input should be a finite number"),
        (("--every", "5", "--jitter", "inf"), "--jitter: Input should be a finite number"),
        (("--every", "5", "--timeout", "nan"), "--timeout: Input should be a finite number"),
        (("--cron", "* * * * *", "--every", "5"), "not both"),
        (("--every", "5", "--overlap", "maybe"), "overlap"),
        (("--every", "5", "--catch-up", "some"), "--catch-up"),
        (("--every", "5", "--lock-slots", "2"), "--lock-slots: needs a --lock-key beside it"),
        (("--every", "5", "--start", "tomorrow"), "start"),
        (("--every", "5", "--priority", "12"), "priority"),
    ],
)
def test_a_declaration_that_cannot_work_is_one_line_and_exit_2(
    cli: Cli, options: tuple[str, ...], says: str
) -> None:
    answer = add(cli, "often", *options)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["show", "next", "history", "pause", "resume", "run", "remove"])
def test_an_unknown_schedule_is_exit_1(cli: Cli, command: str) -> None:
    answer = cli.run("schedules", command, "none")
    assert answer.returncode == 1
    assert "no schedule" in answer.stderr


def test_a_name_that_no_schedule_can_have_is_cut_and_refused_by_every_command(cli: Cli) -> None:
    message = f"error: name: '{'x' * 100}' … (101 characters) is not allowed; use 1 to 100 of "
    for command in ("show", "next", "history", "pause", "resume", "run", "remove"):
        answer = cli.run("schedules", command, "x" * 101)
        assert answer.returncode == 2, command
        assert answer.stderr.startswith(message), command
    assert add(cli, "x" * 101).stderr.startswith(message)


def test_verify_finds_a_tick_that_was_taken_out_of_the_log(cli: Cli, until: Until) -> None:
    add(cli, "often", "--every", "1", "--overlap", "allow", "--catch-up", "all")
    worker = cli.start("worker")
    until(lambda: shown(cli)["lastTick"] is not None, "a tick")
    for action in ("pause", "resume"):
        cli.run("schedules", action, "often")
    worker.terminate()
    worker.wait()
    path = cli.folder / ".jobfleet" / "jobfleet.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TRIGGER control_log_is_never_shortened")
        database.execute("DELETE FROM control_log WHERE sequence = 2")
    answer = cli.run("audit", "verify")
    assert answer.returncode == 1
    assert "schedule often" in answer.stdout
