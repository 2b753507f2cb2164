import os
import pty
import sys
from pathlib import Path

import pytest

from devtools import foreground

_DRAINS = """\
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(int(sys.argv[1])))
print("serving", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("exit_code", "of_make"), [(0, 0), (1, 2)])
def test_make_returns_the_exit_code_of_a_command_that_drained_after_ctrl_c(
    tmp_path: Path, exit_code: int, of_make: int
) -> None:
    (tmp_path / "drains.py").write_text(_DRAINS)
    (tmp_path / "Makefile").write_text(
        f"demo:\n\t@{sys.executable} {foreground.__file__} {sys.executable} drains.py {exit_code}\n"
    )
    make, terminal = pty.fork()
    if make == 0:
        os.execvp("make", ["make", "-C", str(tmp_path), "demo"])
    _read_until(terminal, b"serving")
    os.write(terminal, b"\x03")
    _, status = os.waitpid(make, 0)
    assert os.waitstatus_to_exitcode(status) == of_make


def test_without_a_terminal_the_command_simply_takes_over() -> None:
    done = os.spawnv(
        os.P_WAIT, sys.executable, [sys.executable, foreground.__file__, "sh", "-c", "exit 7"]
    )
    assert done == 7


def _read_until(terminal: int, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 1024)
