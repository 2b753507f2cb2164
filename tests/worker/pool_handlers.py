"""Handlers that show what a process of the pool keeps from one job to the next."""

import contextvars
import gc
import io
import locale
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobfleet_worker import BlockingJobContext, handler

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")
calls: list[int] = []
held: list[bytearray] = []


@handler("pool.pid", run_in="process")
def pid(payload: Any = None) -> int:
    return os.getpid()


@handler("pool.spoil", run_in="process")
def spoil(payload: str) -> int:
    """Change all that is undone after a job."""
    calls.append(os.getpid())
    os.environ["LEFT"] = "behind"
    os.environ.pop("PATH", None)
    os.chdir(payload)
    os.umask(0o777)
    VARIABLE.set("left")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.setitimer(signal.ITIMER_REAL, 3600)
    return os.getpid()


def _set_zone() -> None:
    os.environ["TZ"] = "Pacific/Apia"
    time.tzset()


def _limit(kind: int, value: int) -> None:
    resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def _replace_stdout() -> None:
    sys.stdout = io.StringIO()


def _replace_stderr() -> None:
    sys.stderr = io.StringIO()


def _close_stdout() -> None:
    sys.stdout.close()


CHANGES: dict[str, Callable[[], object]] = {
    "time zone": _set_zone,
    "most files": lambda: _limit(resource.RLIMIT_NOFILE, 64),
    "core dumps": lambda: _limit(resource.RLIMIT_CORE, 0),
    "cores": lambda: os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]),
    "standard output": _replace_stdout,
    "standard error": _replace_stderr,
    "exception hook": lambda: setattr(sys, "excepthook", print),
    "thread exception hook": lambda: setattr(threading, "excepthook", print),
    "tracer of threads": lambda: threading.settrace(lambda *_: None),
    "socket time-out": lambda: socket.setdefaulttimeout(0.001),
    "recursion limit": lambda: sys.setrecursionlimit(250),
    "switch interval": lambda: sys.setswitchinterval(1),
    "digits": lambda: sys.set_int_max_str_digits(640),
    "log level": lambda: logging.getLogger().setLevel(1),
    "log handlers": lambda: logging.getLogger().addHandler(logging.NullHandler()),
    "disabled log": lambda: logging.disable(logging.CRITICAL),
    "garbage collection": gc.disable,
    "garbage threshold": lambda: gc.set_threshold(1),
    "search path": lambda: sys.path.insert(0, "/nowhere"),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
}
"""Undone between two jobs."""
LASTING: dict[str, Callable[[], object]] = {
    "lowered limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "priority": lambda: os.nice(3),
    "group": lambda: os.setgid(65534) if os.getuid() == 0 else None,
    "user": lambda: os.setuid(65534) if os.getuid() == 0 else None,
    "closed output": _close_stdout,
    "descriptor of the output": lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 1),
    "daemon": lambda: threading.Thread(
        target=time.sleep, args=(60,), name="left behind", daemon=True
    ).start(),
}
"""May cost the process: to undo some takes rights, others cannot be undone."""


@handler("pool.change", run_in="process")
def change(payload: list[str]) -> int:
    for name in payload:
        (CHANGES | LASTING)[name]()
    return os.getpid()


@handler("pool.settings", run_in="process")
def settings(payload: None = None) -> list[Any]:
    """Tell what a job finds of the settings of its process, by the names of the changes."""
    root = logging.getLogger()
    output = os.fstat(1)
    limits = [getattr(resource, each) for each in dir(resource) if each.startswith("RLIMIT_")]
    return [
        [time.tzname, time.timezone],
        [resource.getrlimit(each) for each in limits],
        sorted(os.sched_getaffinity(0)),
        [type(sys.stdout).__name__, type(sys.stderr).__name__, sys.stdout.closed],
        [output.st_dev, output.st_ino],
        [sys.excepthook is print, threading.excepthook is print, threading.gettrace() is None],
        [socket.getdefaulttimeout(), sys.getrecursionlimit(), sys.getswitchinterval()],
        [sys.get_int_max_str_digits(), sys.path[0], locale.setlocale(locale.LC_ALL)],
        [root.level, len(root.handlers), root.manager.disable],
        [gc.isenabled(), gc.get_threshold()],
        [os.getpriority(os.PRIO_PROCESS, 0), os.getresuid(), os.getresgid()],
        sorted(each.name for each in threading.enumerate()),
    ]


@handler("pool.look", run_in="process")
def look(context: BlockingJobContext) -> dict[str, Any]:
    """Tell what a job finds."""
    calls.append(os.getpid())
    mask = os.umask(0)
    os.umask(mask)
    return {
        "left": os.environ.get("LEFT"),
        "path": "PATH" in os.environ,
        "folder": str(Path.cwd()),
        "mask": mask,
        "variable": VARIABLE.get(),
        "actions": [repr(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGALRM)],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timer": signal.getitimer(signal.ITIMER_REAL)[0],
        "calls": len(calls),
        "pid": os.getpid(),
    }


@handler("pool.hold", run_in="process")
def hold(mib: int) -> int:
    held.append(bytearray(os.urandom(1) * (mib << 20)))
    return os.getpid()


@handler("pool.exit", run_in="process")
def leave(code: int) -> None:
    os._exit(code)


@handler("pool.sleep", run_in="process")
def sleep(payload: str) -> None:
    Path(payload).write_text(f"{os.getpid()}\n")
    time.sleep(60)


@handler("pool.term", run_in="process")
def heed(payload: str) -> str:
    """Return when asked to stop."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    Path(payload).write_text(f"{os.getpid()}\n")
    asked.wait(60)
    return "heeded"


@handler("pool.thread", run_in="process")
def start_thread(payload: dict[str, Any]) -> int:
    threading.Thread(target=time.sleep, args=(60,), daemon=payload["daemon"]).start()
    return os.getpid()


@handler("pool.child", run_in="process")
def start_child(payload: dict[str, Any]) -> int:
    """Leave a child of some kind, and end in some way."""
    file = payload["file"]
    match payload["child"]:
        case "child":
            child = subprocess.Popen(["sleep", "60"])
            Path(file).write_text(f"{child.pid}\n")
        case "session":
            child = subprocess.Popen(["sleep", "60"], start_new_session=True)
            Path(file).write_text(f"{child.pid}\n")
        case "daemon":  # a double fork: its parent ends at once
            line = f"setsid sleep 60 & echo $! > {file}.part; mv {file}.part {file}"
            subprocess.run(["sh", "-c", line], check=True, stdout=subprocess.DEVNULL)
    match payload["then"]:
        case "die":
            os._exit(7)
        case "wait":
            time.sleep(60)
    return os.getpid()


@handler("pool.short-child", run_in="process")
def start_short_child(payload: Any = None) -> int:
    subprocess.Popen(["true"])
    return os.getpid()


@handler("pool.fork", run_in="process")
def fork(payload: Any = None) -> int:
    """Let a fork come back from the handler."""
    os.fork()
    return os.getpid()


@handler("pool.late", run_in="process")
def report_late(context: BlockingJobContext) -> int:
    """Leave a daemon thread that reports progress when the job is over."""

    def later() -> None:
        time.sleep(0.2)
        context.progress(99)

    threading.Thread(target=later, daemon=True).start()
    return os.getpid()


@handler("pool.slow", run_in="process")
def slow(seconds: float, context: BlockingJobContext) -> int:
    context.progress(1)
    time.sleep(seconds)
    return os.getpid()
