"""Handlers that show what a process of the pool keeps from one job to the next."""

import contextvars
import os
import signal
import subprocess
import threading
import time
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
