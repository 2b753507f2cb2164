"""A process that outlives the command that started it and is found again by its note on disk."""

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from devtools.servers.polling import wait_until


class DetachedProcess:
    """One process in a session of its own; `<folder>/<name>.pid` holds its pid and start time."""

    def __init__(self, *, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.pid"

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        output = (
            os.POSIX_SPAWN_OPEN,
            1,
            str(self.log),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
            0o600,
        )
        errors = (os.POSIX_SPAWN_DUP2, 1, 2)
        no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        pid = os.posix_spawnp(
            command[0],
            command,
            environment,
            file_actions=[no_input, output, errors],
            setsid=True,
        )
        self._file.write_text(
            json.dumps({"pid": pid, "created": psutil.Process(pid).create_time()})
        )

    @property
    def is_running(self) -> bool:
        return self._process() is not None

    @property
    def process_id(self) -> int | None:
        process = self._process()
        return None if process is None else process.pid

    def stop(
        self, *, timeout_seconds: float = 20, with_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        """What is left of the session after the time-out gets SIGKILL."""
        process = self._process()
        if process is not None:
            process.send_signal(with_signal)
            with suppress(psutil.TimeoutExpired):
                process.wait(timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole session, as a power cut would."""
        members = self.members()
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        wait_until(
            f"the end of {self.name}",
            lambda: not any(is_alive(member) for member in members),
            timeout_seconds=10,
            pause_seconds=0.02,
        )
        self._file.unlink(missing_ok=True)

    def members(self) -> list[psutil.Process]:
        """The process and its children; also those that outlived it."""
        note = self._read_note()
        if note is None or note.pid_is_reused():
            return []
        found = [process for process in psutil.process_iter() if note.is_of(process)]
        with suppress(psutil.NoSuchProcess):  # PostgreSQL's children lead sessions of their own
            found += psutil.Process(note.pid).children(recursive=True)
        return list(dict.fromkeys(found))

    def last_output(self) -> str:
        return self.log.read_text(errors="replace")[-2_000:] if self.log.exists() else ""

    def _process(self) -> psutil.Process | None:
        note = self._read_note()
        leaders = (member for member in self.members() if note and member.pid == note.pid)
        return next((leader for leader in leaders if is_alive(leader)), None)

    def _read_note(self) -> "_Note | None":
        return _Note(**json.loads(self._file.read_text())) if self._file.exists() else None


@dataclass(frozen=True, slots=True)
class _Note:
    pid: int
    created: float

    def pid_is_reused(self) -> bool:
        """A pid comes back after a reboot or a wrap; then its session is another one."""
        try:
            return psutil.Process(self.pid).create_time() != self.created
        except psutil.NoSuchProcess:
            return False

    def is_of(self, process: psutil.Process) -> bool:
        """True for the session that the noted process leads, or led."""
        try:
            return os.getsid(process.pid) == self.pid and process.create_time() >= self.created
        except (OSError, psutil.NoSuchProcess):
            return False


def is_alive(process: psutil.Process) -> bool:
    """False for a zombie too: it holds neither ports nor files."""
    with suppress(psutil.NoSuchProcess):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.is_running()
        with suppress(psutil.TimeoutExpired):
            process.wait(0)  # reaps it if it is our child
    return False
