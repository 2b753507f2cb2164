import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def servers(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devtools.servers", *arguments],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the user of PostgreSQL may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.servers
def test_up_prints_what_a_shell_evaluates_and_down_ends_it(open_folder: Path) -> None:
    path = os.environ["PATH"]
    up = servers("--folder", str(open_folder), "up", PATH=path)
    again = servers("--folder", str(open_folder), "env", PATH=path)
    down = servers("--folder", str(open_folder), "down", PATH=path)

    lines = [line.partition("=")[0] for line in up.stdout.splitlines()]
    assert lines == [
        "export JOBFLEET_RABBITMQ_URL",
        "export JOBFLEET_STORAGE_CONNECTION_STRING",
        "export JOBFLEET_POSTGRES_URL",
    ], up.stderr
    assert again.stdout == up.stdout
    assert down.returncode == 0
    assert list(open_folder.glob("*/*.pid")) == []


def test_addresses_that_the_shell_has_are_not_printed(tmp_path: Path) -> None:
    named = {
        "AMQP_URL": "amqp://a:secret@host/",
        "AZURE_STORAGE_CONNECTION_STRING": "secret",
        "JOBFLEET_POSTGRES_URL": "postgresql://a:secret@host/b",
    }
    answer = servers("--folder", str(tmp_path), "env", PATH="/nowhere", **named)
    assert answer.returncode == 0
    assert answer.stdout == answer.stderr == ""


def test_a_named_server_that_is_down_ends_with_3_and_without_its_password(tmp_path: Path) -> None:
    named = {"AMQP_URL": "amqp://a:secret@127.0.0.1:1/", "AZURE_STORAGE_CONNECTION_STRING": "x"}
    answer = servers("--folder", str(tmp_path), "up", PATH="/nowhere", **named)
    assert answer.returncode == 3
    assert "AMQP_URL" in answer.stderr
    assert "secret" not in answer.stderr
