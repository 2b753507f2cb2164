"""``jobfleet queues`` and ``jobfleet types`` as a user types them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.cli.conftest import Cli

Until = Callable[..., None]


def listed(cli: Cli, what: str) -> list[dict[str, Any]]:
    answer = cli.run(what, "list", "--json")
    assert answer.returncode == 0, answer.stderr
    items: list[dict[str, Any]] = orjson.loads(answer.stdout)["items"]
    return items


def test_a_pause_outlives_restarts_and_its_resume_lets_all_jobs_run(cli: Cli, until: Until) -> None:
    paused = cli.run("queues", "pause", "default", "--reason", "storm")
    assert paused.returncode == 0, paused.stderr
    job = ("publish", "--type", "demo.steps", "--payload", '{"steps": 1, "stepSeconds": 0}')
    published = cli.run(*job, "--json")
    job_id = orjson.loads(published.stdout)["jobId"]
    for _ in range(2):
        worker = cli.start("worker")
        until(lambda: listed(cli, "queues")[0]["workers"], "the worker serves the queue")
        worker.terminate()
        assert worker.wait() == 0
    shown = orjson.loads(cli.run("jobs", "show", job_id, "--json").stdout)
    assert shown["state"] == "queued"
    [queue] = listed(cli, "queues")
    assert (queue["paused"], queue["pauseReason"], queue["depth"]) == (True, "storm", 1)
    worker = cli.start("worker")
    assert cli.run("queues", "resume", "default").returncode == 0

    def completed() -> bool:
        answer = cli.run("jobs", "show", job_id, "--json")
        return bool(orjson.loads(answer.stdout)["state"] == "completed")

    until(completed, "the job completes after the resume")
    worker.terminate()
    assert worker.wait() == 0
    verified = cli.run("audit", "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    assert orjson.loads(verified.stdout)["controlEntries"] >= 2


def test_one_job_runs_anyway_and_the_others_wait(cli: Cli, until: Until) -> None:
    assert cli.run("types", "pause", "demo.steps").returncode == 0
    job = ("publish", "--type", "demo.steps", "--payload", '{"steps": 1, "stepSeconds": 0}')
    chosen, left = (orjson.loads(cli.run(*job, "--json").stdout)["jobId"] for _ in range(2))
    worker = cli.start("worker")

    def state(job_id: str) -> str:
        return str(orjson.loads(cli.run("jobs", "show", job_id, "--json").stdout)["state"])

    until(lambda: state(chosen) == state(left) == "deferred", "both jobs are deferred")
    assert cli.run("jobs", "run-anyway", chosen, "--reason", "urgent").returncode == 0
    until(lambda: state(chosen) == "completed", "the job completes during the pause")
    assert state(left) == "deferred"
    assert cli.run("jobs", "run-anyway", chosen).returncode == 1
    worker.terminate()
    assert worker.wait() == 0


def test_a_type_is_listed_while_it_is_paused(cli: Cli) -> None:
    later = "2999-01-01T06:00:00Z"
    paused = cli.run("types", "pause", "mail.send", "--until", later)
    warning = "warning: no live worker handles type mail.send; the pause stands\n"
    assert (paused.returncode, paused.stderr) == (0, warning)
    [found] = listed(cli, "types")
    assert (found["type"], found["pausedUntil"]) == ("mail.send", "2999-01-01T06:00:00.000000Z")
    assert "paused by" in cli.run("types", "list").stdout
    for note in ("", "type mail.send was not paused\n"):
        resumed = cli.run("types", "resume", "mail.send")
        assert (resumed.returncode, resumed.stderr) == (0, note)
    assert listed(cli, "types") == []


@pytest.mark.parametrize("until_text", ["tomorrow", "2001-01-01T00:00:00Z"])
def test_a_bad_until_is_refused_with_its_name(cli: Cli, until_text: str) -> None:
    answer = cli.run("queues", "pause", "default", "--until", until_text)
    assert answer.returncode == 2
    assert "until" in answer.stderr
    assert "Traceback" not in answer.stderr
