"""Commands on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Cli, heed_ctrl_c

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """One command with a terminal of its own."""

    def __init__(self, cli: Cli, *arguments: str, columns: int = 200) -> None:
        self._screen, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobfleet_cli", *arguments],
            cwd=cli.folder,
            env=cli.environment | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - before any thread of the child
        )
        os.close(other)
        self.shown = ""

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def expect(self, pattern: str, *, seconds: float = 120) -> None:
        """Read until the pattern shows."""
        end = time.monotonic() + seconds
        while not re.search(pattern, ESCAPES.sub("", self.shown), re.DOTALL):
            assert time.monotonic() < end, f"{pattern!r} did not show: {self.shown[-800:]!r}"
            if select.select([self._screen], [], [], 0.1)[0]:
                self.shown += os.read(self._screen, 65536).decode()

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Terminals to be closed with the test."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_each_key_of_the_console_submits_a_job_and_q_quits(
    cli: Cli, terminals: list[Terminal]
) -> None:
    terminals.append(terminal := Terminal(cli, "publish"))
    terminal.expect("Any key submits")
    terminal.press("a")
    terminal.expect(r"[0-9a-f-]{36}  queued  \w+")
    terminal.press("q")
    assert terminal.process.wait(20) == 0
    assert cli.run("jobs", "list").stdout.count("demo.steps") == 1


def test_watch_follows_the_fleet_until_ctrl_c(cli: Cli, terminals: list[Terminal]) -> None:
    cli.publish("--type", "demo.steps", "--name", "first job")
    terminals.append(terminal := Terminal(cli, "jobs", "watch"))
    terminal.expect("queued 1.*first job.*Queued")
    cli.publish("--type", "demo.steps", "--name", "second job")
    terminal.expect("second job")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(20) == 0


def test_a_list_has_a_heading_and_whole_ids(cli: Cli, terminals: list[Terminal]) -> None:
    [job] = cli.publish("--type", "a", "--name", "[b]bold[/b]")
    terminals.append(terminal := Terminal(cli, "jobs", "list"))
    terminal.expect(rf"job +state +type.*{job} +queued +a +\[b\]bold")


@pytest.mark.parametrize("columns", [80, 120])
def test_each_row_of_a_list_stays_on_a_line_with_its_message_and_one_zone_is_named(
    cli: Cli, terminals: list[Terminal], columns: int
) -> None:
    [job] = cli.publish("--type", "crm.sync", "--name", "import of a customer " * 6)
    terminals.append(terminal := Terminal(cli, "jobs", "list", columns=columns))
    terminal.expect(rf"{job[-8:]} +queued .*import of a.*…[^\n]*\n")
    rows = ESCAPES.sub("", terminal.shown).splitlines()
    assert all(len(row) <= columns for row in rows)
    assert sum("queued" in row for row in rows) == 1
    terminals.append(shown := Terminal(cli, "jobs", "show", job, columns=columns))
    shown.expect(r"createdAt +[0-9-]{10} [0-9:]{8} (\S+).*time \(\1\).*[0-9:]{8}\.[0-9]{3} +Queued")
