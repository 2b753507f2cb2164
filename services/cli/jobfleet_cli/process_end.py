"""The end of a worker's process, which threads of user code must not hold up."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import thread as pools

import structlog

from jobfleet_cli.log_writer import drain_logs

THREADS_LEFT = "worker.threads_left"
THREAD_SECONDS = 5.0
"""For threads that handlers have started and left, after the worker has stopped."""

_log = structlog.get_logger()


def end_process(*, seconds: float) -> None:
    """Return once no thread keeps the process alive; else name the threads and end it at once.

    The interpreter waits for every thread that is not a daemon, without a limit.
    """
    deadline = time.monotonic() + seconds
    _end_idle_pools()
    left = _threads()
    while left and time.monotonic() < deadline:
        left[0].join(min(0.1, seconds))
        left = _threads()
    if left:
        _log.warning(THREADS_LEFT, threads=sorted(each.name for each in left))
        drain_logs()
        sys.stdout.flush()
        os._exit(0)


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
