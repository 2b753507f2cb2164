"""Settings of the whole process that a job may change: noted, compared and put back."""

from __future__ import annotations

import gc
import locale
import logging
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
_STANDARD_FILES = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of setting.

    Attributes:
        write: puts a value back; ``None``: nothing can. It may fail, as without the rights.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object] | None = None


class ProcessState:
    """The settings of the process as they were before its first job."""

    def __init__(self) -> None:
        self._before = [(each, each.read()) for each in _SETTINGS]

    def restore(self) -> bool:
        """Put back what a job has changed; returns whether all is as before."""
        is_as_before = True
        for setting, before in self._before:
            try:
                if setting.read() != before and setting.write is not None:
                    setting.write(before)
                is_as_before &= setting.read() == before
            except Exception:  # noqa: BLE001 - rights are missing, or the job broke what is asked
                is_as_before = False
        return is_as_before


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(each) for each in _LIMITS]


def _set_limits(values: list[tuple[int, int]]) -> None:
    for each, value in zip(_LIMITS, values, strict=True):
        if resource.getrlimit(each) != value:
            resource.setrlimit(each, value)


def _owners() -> list[Any]:
    return [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), sorted(os.getgroups())]


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _set_priority(value: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, value)


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _set_cores(value: set[int]) -> None:
    os.sched_setaffinity(0, value)


def _standard_files() -> list[tuple[int, int]]:
    """Return which files the standard descriptors stand for."""
    found = map(os.fstat, _STANDARD_FILES)
    return [(each.st_dev, each.st_ino) for each in found]


def _streams() -> list[Any]:
    return [sys.stdin, sys.stdout, sys.stderr]


def _set_streams(values: list[Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = values


def _closed_streams() -> list[bool]:
    return [getattr(each, "closed", True) for each in _streams()]


def _hooks() -> list[Any]:
    # `is` decides: a list compares by identity first, and a function is equal to itself alone.
    return [sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook]


def _set_hooks(values: list[Any]) -> None:
    sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook = values


def _tracers() -> list[Any]:
    return [sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()]


def _set_tracers(values: list[Any]) -> None:
    sys.settrace(values[0])
    sys.setprofile(values[1])
    threading.settrace(values[2])
    threading.setprofile(values[3])


def _lookup() -> list[list[Any]]:
    return [list(sys.path), list(sys.argv)]


def _set_lookup(values: list[list[Any]]) -> None:
    sys.path[:], sys.argv[:] = values


def _collector() -> list[Any]:
    return [gc.isenabled(), gc.get_threshold(), gc.get_debug()]


def _set_collector(values: list[Any]) -> None:
    is_enabled, threshold, debug = values
    (gc.enable if is_enabled else gc.disable)()
    gc.set_threshold(*threshold)
    gc.set_debug(debug)


def _root_log() -> list[Any]:
    root = logging.getLogger()
    return [root.level, list(root.handlers), list(root.filters), root.manager.disable]


def _set_root_log(values: list[Any]) -> None:
    root = logging.getLogger()
    root.setLevel(values[0])
    root.handlers[:], root.filters[:] = values[1:3]
    logging.disable(values[3])


_SETTINGS = (
    Setting(_limits, _set_limits),
    Setting(_owners),
    Setting(_priority, _set_priority),
    Setting(_cores, _set_cores),
    Setting(_standard_files),
    Setting(_streams, _set_streams),
    Setting(_closed_streams),
    Setting(_hooks, _set_hooks),
    Setting(_tracers, _set_tracers),
    Setting(_lookup, _set_lookup),
    Setting(_collector, _set_collector),
    Setting(_root_log, _set_root_log),
    Setting(socket.getdefaulttimeout, socket.setdefaulttimeout),
    Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    Setting(sys.getswitchinterval, sys.setswitchinterval),
    Setting(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    Setting(
        lambda: locale.setlocale(locale.LC_ALL),
        lambda value: locale.setlocale(locale.LC_ALL, value),
    ),
)
