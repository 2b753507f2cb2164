"""``python -m jobfleet_publisher``, where the command line's package is not installed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from jobfleet_publisher.console import WELCOME

PROGRAM = [sys.executable, "-m", "jobfleet_publisher"]


def _environment(folder: Path, **variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", **variables}


def test_a_key_submits_and_q_ends_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    console = subprocess.Popen(
        PROGRAM, cwd=tmp_path, env=_environment(tmp_path), stdin=theirs, stdout=subprocess.PIPE
    )
    os.close(theirs)
    assert console.stdout is not None
    assert console.stdout.readline().decode().strip() == WELCOME
    os.write(ours, b"a")
    submitted = console.stdout.readline().decode()
    os.write(ours, b"q")
    assert console.wait(60) == 0
    os.close(ours)
    console.stdout.close()
    assert submitted.split()[1] == "queued"


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        ([], {}, 2, "needs a terminal"),
        (["--check"], {}, 0, ""),
        (["--check"], {"JOBFLEET_BACKEND": "neither"}, 2, "JOBFLEET_BACKEND"),
        (
            ["--check"],
            {"JOBFLEET_BACKEND": "azure", "JOBFLEET_RABBITMQ_URL": "amqp://127.0.0.1:1/"},
            3,
            "127.0.0.1:1",
        ),
    ],
)
def test_the_exit_code_says_what_is_wrong(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], code: int, message: str
) -> None:
    ended = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=tmp_path,
        env=_environment(tmp_path, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert message in ended.stderr
    assert ended.stdout == ""
