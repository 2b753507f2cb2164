"""The processes of one contestant: started, watched for their CPU time, ended by their ids."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

from devtools.bench.contestant import Contestant
from devtools.bench.ticks import VARIABLE, TickFile

_STOP_SECONDS = 20
_LAST_BYTES = 2_000


class WorkerProcesses:
    """Context manager; what the workers print goes to ``workers.log`` in their folder."""

    def __init__(self, contestant: Contestant, ticks: TickFile) -> None:
        self._contestant = contestant
        self._ticks = ticks
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start them."""
        environment = os.environ | dict(self._contestant.environment)
        environment[VARIABLE] = str(self._ticks.path)
        with (self._contestant.folder / "workers.log").open("ab") as log:
            for command in self._contestant.commands:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
                )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ask each to end, and kill with its children what does not."""
        trees = [self._tree(process.pid) for process in self._processes]
        for process in self._processes:
            process.terminate()
        for process, tree in zip(self._processes, trees, strict=True):
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for child in tree:
                with suppress(psutil.NoSuchProcess):
                    child.kill()

    def cpu_seconds(self) -> float:
        """Return the CPU time of all of them and of their children that live."""
        total = 0.0
        for process in self._processes:
            for member in self._tree(process.pid):
                with suppress(psutil.NoSuchProcess):
                    times = member.cpu_times()
                    total += times.user + times.system
        return total

    def ensure_alive(self) -> None:
        """Check that none has ended.

        Raises:
            RuntimeError: one has; tells where its output is.
        """
        for process in self._processes:
            if process.poll() is not None:
                raise RuntimeError(
                    f"a worker of {self._contestant.name} ended with code {process.returncode}; "
                    f"see {self._contestant.folder / 'workers.log'}"
                )

    def printed(self) -> str:
        """Return the last that the workers printed."""
        log = self._contestant.folder / "workers.log"
        return log.read_bytes()[-_LAST_BYTES:].decode(errors="replace") or "they printed nothing"

    def _tree(self, pid: int) -> list[psutil.Process]:
        try:
            root = psutil.Process(pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
