"""One process of the fleet on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress


class ChildProcess:
    """Starts a ``jobfleet`` command in a session of its own, so that Ctrl-C reaches only us.

    It holds one end of the child's standard input. If this process dies in any way, the child sees
    the end of that input and stops in order (``--stop-with-parent``).
    """

    def __init__(
        self,
        *,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        reloads: bool = False,
    ) -> None:
        """Take the command; ``reloads`` if a change of its code stops it, to be started again."""
        self.name = name
        self.reloads = reloads
        self._command = [sys.executable, "-m", "jobfleet_cli", *arguments, "--stop-with-parent"]
        self._environment = dict(environment)
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process, ``None`` if there is none."""
        return None if self._process is None else self._process.pid

    async def run(self) -> int:
        """Start it, wait for its end and return its exit code, negative for a signal."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=PIPE,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
        )
        try:
            return await self._process.wait()
        finally:
            self.kill()
            self._process = None

    def ask_to_stop(self) -> None:
        """Send SIGTERM: running jobs finish or are handed back."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and everything that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
