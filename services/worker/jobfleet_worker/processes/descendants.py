"""Finding what a process has started, and being told of its end; Linux, and less elsewhere.

On Linux a process can be the subreaper of its descendants: one whose parent ends becomes its child,
also after ``setsid`` and a double fork. Without ``/proc`` or ``prctl`` descendants are known by
their process group only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
ENDED = "ZX"
"""States of a process that has ended and waits for its parent."""


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent ends; do nothing if that is unknown."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> bool:
    """Ask to be killed when the parent ends; returns whether that is known here.

    The parent must have one thread: its kernel means the thread that forked.
    """
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def children() -> dict[int, str] | None:
    """Return this process's children, each with its state's letter; ``None`` without ``/proc``."""
    own, found = os.getpid(), dict[int, str]()
    try:
        entries = [each for each in Path("/proc").iterdir() if each.name.isdecimal()]
    except OSError:
        return None
    if not entries:
        return None
    for entry in entries:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # The name, in parentheses, may hold anything.
            fields = (entry / "stat").read_text("latin-1").rpartition(")")[2]
            state, parent = fields.split()[:2]
            if int(parent) == own:
                found[int(entry.name)] = state
    return found


def has_children() -> bool:
    """Return whether there is any child, also one that has ended and waits to be reaped."""
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        else:
            os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def signal_group(leader: int, number: int) -> None:
    """Send a signal to a process and to its group; do nothing if it has ended."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):  # it has not begun its session yet, or has ended
        signal_process(leader, number)


def signal_process(pid: int, number: int) -> None:
    """Send a signal to one process; do nothing if it has ended or is another user's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def is_group(leader: int) -> bool:
    """Return whether any process of the group is left, also one that waits to be reaped."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _prctl(option: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False
