"""How ``jobfleet worker`` starts and stops."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.cli.conftest import Cli

SLEEPER = """
import asyncio
from jobfleet_worker import handler

@handler("sleep")
async def sleep(payload: float, context) -> str:
    await asyncio.sleep(payload)
    return "slept"
"""


def test_a_handler_module_that_does_not_import_is_exit_2_with_its_traceback(cli: Cli) -> None:
    (cli.folder / "broken.py").write_text("import nothing_of_this_name\n")
    answer = cli.run("worker", "--handlers", "broken")
    assert answer.returncode == 2
    assert 'broken.py", line 1' in answer.stderr
    assert "No module named 'nothing_of_this_name'" in answer.stderr


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
