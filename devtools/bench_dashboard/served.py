"""A real dashboard in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_STOP_SECONDS = 15.0


@contextmanager
def dashboard(settings: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Serve until the block ends; yields the address and the process's id.

    Args:
        settings: environment variables of the dashboard.

    Raises:
        RuntimeError: it did not start; its own words are on standard error.
    """
    known = {name: value for name, value in os.environ.items() if not name.startswith("JOBFLEET_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "jobfleet_cli", "dashboard", "--port", "0"],
        env=known | dict(settings) | {"JOBFLEET_LOG_LEVEL": "warning"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith("Dashboard: "):
            raise RuntimeError("the dashboard did not start")
        yield line.split()[1], process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
