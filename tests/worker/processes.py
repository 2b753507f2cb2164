"""Looking at processes from outside."""

import os
from pathlib import Path

from tests.polling import eventually


def text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def pid_in(file: Path) -> int:
    """Wait until a handler has written a process id."""

    async def written() -> str:
        return text_of(file)

    return int(await eventually("the handler has told a process id", written, seconds=60))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in "ZX"


async def until_gone(pid: int) -> None:
    async def gone() -> bool:
        return not is_alive(pid)

    await eventually(f"process {pid} has ended", gone, seconds=60)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
