"""CPU time of other processes: what neighbours on the same cores stretch least."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import psycopg


def postmaster(url: str) -> int:
    """Return the process of a PostgreSQL on this machine that is the parent of all its others."""
    with psycopg.connect(url) as connection:
        return psutil.Process(connection.info.backend_pid).ppid()


def cpu_seconds(*pids: int) -> float:
    """Return user and system time of processes and their children so far.

    It is 0 where the system does not tell.
    """
    return sum(map(_of_family, pids))


def _of_family(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # it has ended, or this is no Linux
        return 0.0
    ticks = map(int, stat.rpartition(")")[2].split()[11:15])  # its own, and of ended children
    return sum(ticks) / os.sysconf("SC_CLK_TCK") + cpu_seconds(*map(int, children.split()))
