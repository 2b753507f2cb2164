"""Runs many ``jobfleet`` commands as forks of one program that has imported them.

An interpreter with all imports costs a second of processor time. A fork of one is as good where the
start of the interpreter is not what a test is about.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

STREAMS = ("closed", "reader gone", "reader asleep", "full disk")
"""What may have become of a standard error."""


class WarmCommands:
    """Starts commands in a folder, each in a session of its own."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._lines = ours.makefile("rw")
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        ours.close()
        theirs.close()
        self._running: set[int] = set()

    def start(
        self, *arguments: str, folder: Path, environment: dict[str, str], stderr: str | None = None
    ) -> int:
        """Start a command and return its process id.

        Args:
            stderr: one of ``STREAMS``; ``None``: nowhere.
        """
        pid: int = self._ask(["start", list(arguments), str(folder), environment, stderr])
        self._running.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """Wait for a command's end and return its exit code."""
        code: int = self._ask(["wait", pid])
        self._running.discard(pid)
        return code

    def stop(self) -> None:
        """Kill what still runs."""
        for pid in sorted(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            self.wait(pid)

    def close(self) -> None:
        """End the program too."""
        self.stop()
        self._lines.close()
        self._server.wait()

    def _ask(self, request: list[Any]) -> Any:
        self._lines.write(json.dumps(request) + "\n")
        self._lines.flush()
        return json.loads(self._lines.readline())


def spoiled(stream: str) -> int:
    """Return the number of a file to write errors to, of which nothing comes out."""
    if stream == "full disk":
        return os.open("/dev/full", os.O_WRONLY)
    reading, writing = os.pipe()
    if stream == "reader gone":
        os.close(reading)
        return writing
    os.set_inheritable(reading, True)  # open for as long as the command runs, and never read
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 65536):
            pass
    os.set_blocking(writing, True)
    return writing


def _serve(requests: socket.socket) -> None:
    from jobfleet_cli import config, dashboard, doctor, publish, worker  # noqa: F401
    from jobfleet_cli.dashboard_process import run_dashboard  # noqa: F401

    lines = requests.makefile("rw")
    gc.freeze()
    while line := lines.readline():
        kind, *values = json.loads(line)
        if kind == "wait":
            _, status = os.waitpid(values[0], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                requests.close()
                lines.detach()
                _be_command(*values)
        lines.write(json.dumps(answer) + "\n")
        lines.flush()


def _be_command(
    arguments: list[str], folder: str, environment: dict[str, str], stderr: str | None
) -> None:
    from jobfleet_cli.main import main

    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    if stderr == "closed":
        os.close(2)
        sys.stderr = sys.__stderr__ = None  # type: ignore[misc]
    else:
        os.dup2(nowhere if stderr is None else spoiled(stderr), 2)
    sys.argv = ["jobfleet", *arguments]
    code: Any = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    # As at the end of an interpreter, but that it frees no module: that would copy all of them.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
