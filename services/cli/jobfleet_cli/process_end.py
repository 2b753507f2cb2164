"""The end of a worker's process, which user code must not hold up: its threads, its callbacks."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from concurrent.futures import thread as pools

import structlog

from jobfleet_cli.log_writer import drain_logs, reopen_logs
from jobfleet_cli.stop_signals import end_at_next_signal

THREADS_LEFT = "worker.threads_left"
EXIT_HELD_UP = "worker.exit_held_up"
LOOP_LOST = "worker.loop_lost"
THREAD_SECONDS = 5.0
"""For threads that handlers have started and left, after the worker has stopped."""
CALLBACK_SECONDS = 5.0
"""For callbacks of ``atexit``, if less of the drain time is left."""

_log = structlog.get_logger()


def end_process(*, seconds: float, callback_seconds: float) -> None:
    """Return once no thread keeps the process alive; else name the threads and end it at once.

    The interpreter waits for every thread that is not a daemon, then calls what ``atexit`` holds,
    both without a limit. After the return the process has ``callback_seconds``, 5 s at least. From
    the call on, a signal to stop ends it at once.
    """
    end_at_next_signal()
    deadline = time.monotonic() + seconds
    _end_idle_pools()
    left = _threads()
    while left and time.monotonic() < deadline:
        left[0].join(min(0.1, seconds))
        left = _threads()
    if left:
        _log.warning(THREADS_LEFT, threads=sorted(each.name for each in left))
        _end_at_once(0)
    watched = (max(callback_seconds, CALLBACK_SECONDS),)
    threading.Thread(target=_watch, args=watched, name="exit-watch", daemon=True).start()


def end_lost(error: BaseException) -> None:
    """Say that the worker's event loop is lost, and end the process with exit code 1.

    Its jobs are taken over as those of a lost worker.
    """
    _log.error(LOOP_LOST, error=str(error))
    _end_at_once(1)


def _watch(seconds: float) -> None:
    time.sleep(seconds)
    reopen_logs()
    _log.warning(EXIT_HELD_UP, at=_place_of_main_thread())
    _end_at_once(0)


def _place_of_main_thread() -> list[str]:
    """Return where the callback begins and where it is; one in native code has no place."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    calls = traceback.extract_stack(frame) if frame is not None else []
    places = [f"{each.filename}:{each.lineno} in {each.name}" for each in calls]
    return [*dict.fromkeys(places[:1] + places[-1:])] or ["native code"]


def _end_at_once(code: int) -> None:
    drain_logs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def _end_idle_pools() -> None:
    """Let threads of thread pools end that have nothing to do, as the interpreter does at its end.

    A module may keep a pool for all of its jobs: no handler left these threads.
    """
    with pools._global_shutdown_lock:
        pools._shutdown = True
    for queue in [*pools._threads_queues.values()]:
        queue.put(None)


def _threads() -> list[threading.Thread]:
    here = threading.current_thread()
    return [each for each in threading.enumerate() if not each.daemon and each is not here]
