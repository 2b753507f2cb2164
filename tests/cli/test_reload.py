"""Workers that start anew: with changed code, or after so many jobs."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from tests.cli.conftest import Cli

pytestmark = pytest.mark.system

HANDLERS = """
import time
from jobfleet_worker import BlockingJobContext, handler

@handler("version")
def version(payload: bool, context: BlockingJobContext) -> int:
    while payload and not context.cancelled:
        time.sleep(0.01)
    return VERSION
"""


def write(cli: Cli, version: str) -> None:
    (cli.folder / "code_of_user.py").write_text(HANDLERS.replace("VERSION", version))


def result_of(cli: Cli, job: str) -> object:
    return orjson.loads(cli.run("jobs", "show", job, "--json").stdout)["result"]


def test_a_changed_file_restarts_the_worker_and_hands_running_jobs_back(
    cli: Cli, until: Callable[..., None]
) -> None:
    write(cli, "1")
    worker = cli.start("worker", "--reload", "--handlers", "code_of_user")
    until(lambda: cli.log.count("worker.started") == 1, "the worker to start")
    [job] = cli.publish("--type", "version", "--payload", "true")
    until(lambda: "job.started" in cli.log, "the job to start")
    write(cli, "(")
    until(lambda: "cannot be imported" in cli.log, "the broken code to be refused")
    (cli.folder / "code_of_user.py").write_text(
        HANDLERS.replace("VERSION", "2").replace("while payload and", "while False and")
    )
    until(lambda: cli.log.count("worker.started") == 2, "the mended code to start")
    until(lambda: result_of(cli, job) == 2, "the job to end on the new code")
    assert "code_of_user.py" in cli.log
    worker.terminate()
    assert worker.wait(30) == 0


def test_up_has_the_workers_options_and_replaces_a_worker_at_its_limit(
    cli: Cli, until: Callable[..., None]
) -> None:
    write(cli, "1")
    options = ("--workers", "1", "--port", "0", "--max-jobs", "1", "--queues", "own")
    up = cli.start("up", *options, "--handlers", "code_of_user", "--concurrency", "2")
    until(lambda: cli.log.count("worker.started") == 1, "the worker to start")
    jobs = cli.publish("--type", "version", "--payload", "false", "--queue", "own", "--wait")
    until(lambda: cli.log.count("worker.started") == 2, "another worker to start")
    assert "child.died" not in cli.log
    assert result_of(cli, jobs[0]) == 1
    up.terminate()
    assert up.wait(30) == 0
