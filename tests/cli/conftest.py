"""The ``jobfleet`` command as its users run it: processes in a folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.cli.command_process import run_command

RUN_SECONDS = 60


def heed_ctrl_c() -> None:
    """A shell's background jobs ignore it, and so does what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Cli:
    """Runs commands on the embedded backend of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if not _is_ours(k)}
        self._started: list[subprocess.Popen[str]] = []

    def run(
        self, *arguments: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run_command(
            arguments,
            folder=self.folder,
            environment=self.environment | environment,
            stdin=stdin,
            seconds=RUN_SECONDS,
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command that goes on; it is ended with the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "jobfleet_cli", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr.log").open("a"),
            text=True,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - before any thread of the child
        )
        self._started.append(process)
        return process

    @property
    def log(self) -> str:
        """What the started processes have logged."""
        return (self.folder / "stderr.log").read_text()

    def publish(self, *arguments: str) -> list[str]:
        """Submit jobs and return their ids."""
        answer = self.run("publish", "--json", *arguments)
        assert answer.returncode == 0, answer.stderr
        return [orjson.loads(line)["jobId"] for line in answer.stdout.splitlines()]

    def stop(self) -> None:
        """End what was started, by its process groups."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _is_ours(name: str) -> bool:
    other = ("RABBITMQ_URL", "AMQP_URL", "AZURE_STORAGE_CONNECTION_STRING")
    return name.startswith("JOBFLEET_") or name in other


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A ``jobfleet`` on an empty folder."""
    made = Cli(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until something holds, saying what if it never does."""

    def wait(holds: Callable[[], object], what: str, *, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            time.sleep(0.05)

    return wait
