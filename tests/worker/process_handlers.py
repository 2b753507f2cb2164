"""Handlers that run in processes: importable there by name."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from structlog.contextvars import get_contextvars

from jobfleet_worker import BlockingJobContext, Defer, Fail, Retry, handler


class Unlucky(Exception):
    """Raised on purpose."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")


class Silent(Exception):
    """Cannot say what it is about."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@handler("process.echo", run_in="process")
def echo(payload: Any, context: BlockingJobContext) -> Any:
    context.progress(1, 2, f"in process {os.getpid()}")
    context.checkpoint({"seen": payload})
    return {"payload": payload, "pid": os.getpid(), "last": context.last_checkpoint}


@handler("process.traced", run_in="process")
def traced(context: BlockingJobContext) -> Any:
    return {"traceparent": context.traceparent, "bound": get_contextvars()}


@handler("process.raise", run_in="process")
def raise_error(payload: dict[str, Any]) -> None:
    match payload["what"]:
        case "error":
            raise Unlucky(7, "no luck")
        case "retry":
            raise Retry("again, please", after=0.01)
        case "fail":
            raise Fail("never again", details={"code": 4})
        case "silent":
            raise Silent
        case "lambda":
            raise Fail("never again", details={"code": lambda: 4})
        case "defer":
            raise Defer(0.01, "not yet")
        case "exit":
            sys.exit(3)
        case "die":
            os._exit(4)


@handler("process.once", run_in="process", retry_on=(OSError,))
def fail_for_good(payload: None) -> None:
    raise Unlucky(8, "not worth it")


@handler("process.timed", run_in="process", retry_on=(OSError,), max_attempts=2)
def fail_as_declared(payload: None) -> None:
    raise FileNotFoundError("a kind of OSError")


@handler("process.checkpoint", run_in="process")
def bad_checkpoint(payload: None, context: BlockingJobContext) -> str:
    try:
        context.checkpoint({1, 2})
    except Exception as error:  # noqa: BLE001 - its text is the result
        return str(error)
    return "accepted"


@handler("process.stubborn", run_in="process")
def stubborn(payload: str, context: BlockingJobContext) -> None:
    """Ignores SIGTERM; writes its process id into a file."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(payload).write_text(str(os.getpid()))
    context.progress(1, None, "deaf")
    while True:
        time.sleep(0.05)


def _square(number: int) -> int:
    return number * number


@handler("process.pool", run_in="process")
def pool() -> int:
    with multiprocessing.Pool(2) as workers:
        return sum(workers.map(_square, range(10)))


@handler("process.subprocess", run_in="process")
def runs_subprocess(payload: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(payload).write_text(f"{child.pid}\n")
    child.wait()


@handler("process.deaf", run_in="process")
def deaf(payload: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # children inherit it
    child = subprocess.Popen(["sleep", "60"])
    Path(payload).write_text(f"{child.pid}\n")
    child.wait()


@handler("process.leaves", run_in="process")
def leaves_children(payload: str) -> str:
    child = subprocess.Popen(["sleep", "60"])
    threading.Thread(target=time.sleep, args=(60,)).start()
    Path(payload).write_text(f"{child.pid}\n")
    return "returned"


@handler("process.forked", run_in="process")
def forked_then_killed(payload: str) -> None:
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    Path(payload).write_text(f"{child}\n")
    os.kill(os.getpid(), signal.SIGKILL)


@handler("process.closes", run_in="process")
def closes_its_files(payload: str) -> None:
    Path(payload).write_text("0\n")
    os.closerange(3, 256)
    time.sleep(60)


@handler("process.new-name", aliases=["process.old-name"], run_in="process")
def renamed(payload: int) -> int:
    return payload + 1


@handler("process.large", run_in="process")
def large(payload: int) -> str:
    return "x" * payload
