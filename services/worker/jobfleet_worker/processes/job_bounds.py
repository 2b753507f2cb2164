"""What one job changes of its process, and the next one must not see."""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from jobfleet_worker.processes import descendants
from jobfleet_worker.processes.process_state import ProcessState

LEFT_SECONDS = 0.1
"""For a thread or child that is about to end when its handler returns."""
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


@dataclass(frozen=True, slots=True)
class JobBounds:
    """The process as it was before its first job.

    Attributes:
        folder: the working folder; ``None``: it had been deleted.
        actions: what each signal does; a signal that Python has not set is left alone.
        state: settings of the process.
        threads, children: those of the modules, which all jobs share.
    """

    environment: dict[str, str]
    folder: Path | None
    file_mask: int
    actions: dict[int, Any]
    blocked: set[int]
    variables: contextvars.Context
    state: ProcessState
    threads: frozenset[threading.Thread]
    children: frozenset[int]

    @classmethod
    def of_now(cls) -> JobBounds:
        """Note how the process is; on its main thread."""
        try:
            folder: Path | None = Path.cwd()
        except OSError:
            folder = None
        catchable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        return cls(
            environment=dict(os.environ),
            folder=folder,
            file_mask=_file_mask(),
            actions={number: signal.getsignal(number) for number in catchable},
            blocked=signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            variables=contextvars.copy_context(),
            state=ProcessState(),
            threads=frozenset(threading.enumerate()),
            children=frozenset(descendants.children() or ()),
        )

    @property
    def has_folder(self) -> bool:
        """Whether the working folder is still there."""
        return self.folder is not None and self.folder.is_dir()

    def restore(self) -> bool:
        """Undo what a job did to its process; returns whether all of that could be undone.

        A folder that is gone is left to the next job, which refuses to start without it.
        """
        for timer in _TIMERS:  # first: an alarm that rings now would meet no handler
            signal.setitimer(timer, 0)
        for number, action in self.actions.items():
            if action is not None and signal.getsignal(number) is not action:
                signal.signal(number, action)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)
        os.umask(self.file_mask)
        if os.environ != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        time.tzset()  # after the environment: the zone is read from it
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        return self.state.restore()

    def is_left_alone(self) -> bool:
        """Return whether the job has left neither a child nor a thread that is not a daemon.

        Daemons have the same short time to end: see :meth:`has_daemons`.
        """
        deadline = time.monotonic() + LEFT_SECONDS
        while self._started_threads() or self._has_children():
            if time.monotonic() > deadline:
                has_others = any(not each.daemon for each in self._started_threads())
                return not has_others and not self._has_children()
            time.sleep(LEFT_SECONDS / 20)
        return True

    def has_daemons(self) -> bool:
        """Return whether a thread of the job goes on, which would run beside the next job."""
        return bool(self._started_threads())

    def _started_threads(self) -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each not in self.threads]

    def _has_children(self) -> bool:
        if not descendants.has_children():
            return False
        found = descendants.children()
        if found is None:  # nothing tells them from those of the modules
            return True
        new = found.keys() - self.children - {_resource_tracker()}
        for each in new:
            if found[each] in descendants.ENDED:  # an orphan that this process has adopted
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(each, os.WNOHANG)
        return any(found[each] not in descendants.ENDED for each in new)


def _resource_tracker() -> int | None:
    """Return multiprocessing's own helper: it runs no code of the user's, and is shared."""
    tracker = getattr(resource_tracker, "_resource_tracker", None)
    return getattr(tracker, "_pid", None)


def _file_mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
