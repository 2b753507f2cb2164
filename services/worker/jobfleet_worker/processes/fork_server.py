"""The program that forks the processes of one worker's pool, and ends what they leave behind.

The worker has threads and connections, so it is never forked itself. This program has one thread
and has imported all but the user's modules, so a fork of it is quick and safe. When a process of
the pool ends, the processes that it started become children of this program. They are killed before
the exit of the pool's process is reported. When the worker is gone, everything ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from jobfleet_worker.processes import descendants
from jobfleet_worker.processes.pool_process import PoolProcess, PoolSetUp

REQUEST = struct.Struct("!cIi")
"""One request: what to do, the process's number in the pool, a signal."""
START, SIGNAL, END = b"s", b"g", b"e"
EXIT = struct.Struct("!i")
"""The one report of a process: its exit code."""

LOOK_SECONDS = 1.0
"""How often to look whether the worker is still there."""
LEFT_BEHIND_SECONDS = 5.0
"""For killed descendants to end; one that hangs in the kernel must not hold up the rest."""
_PAUSE_SECONDS = 0.002
_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Meant for the worker, which may still need its processes: to drain, or to hand back."""


def main() -> None:
    """Serve the worker that has started this program, until it closes the connection.

    Arguments: the descriptor of the connection, the worker's process id. On standard input: the
    pickled set-up of the pool.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    set_up: PoolSetUp = pickle.load(sys.stdin.buffer)  # noqa: S301 - the worker has written it
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    worker = int(sys.argv[2])
    sys.argv[:] = set_up.argv
    ForkServer(control, set_up, worker=worker).serve()


class ForkServer:
    """Starts, signals and ends processes, one request after the other."""

    def __init__(self, control: socket.socket, set_up: PoolSetUp, *, worker: int) -> None:
        self._control = control
        self._set_up = set_up
        self._worker = worker
        self._pids: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._reports: dict[int, int] = {}

    def serve(self) -> None:
        """Do what the worker asks until it is gone; then end everything."""
        descendants.adopt_orphans()
        before: dict[int, Any] = {
            number: signal.signal(number, signal.SIG_IGN) for number in _NOT_OURS
        }
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker)
        gc.collect()
        gc.freeze()  # so that forks share these objects
        while True:
            ready, _, _ = select.select([self._control.fileno(), wake], [], [], LOOK_SECONDS)
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
            self._reap()
            if self._control.fileno() in ready:
                request, files, _, _ = socket.recv_fds(self._control, REQUEST.size, 2)
                if not request:
                    break
                new = self._answer(request, files)
                if new is not None:
                    self._be_child(new, before, [wake, waker])
            elif os.getppid() != self._worker:  # others may hold the connection open
                break
        self._end_all()

    def _answer(self, request: bytes, files: list[int]) -> Connection | None:
        """Do as asked; returns the connection of a new process, in that process."""
        kind, number, signal_number = REQUEST.unpack(request)
        if kind == START:
            for each in files:  # what a handler starts must not inherit them
                os.set_inheritable(each, False)
            return self._fork(number, *files)
        pid = self._pids.get(number)
        if pid is not None and kind == SIGNAL:
            descendants.signal_group(pid, signal_number)
        elif pid is not None:
            # Its group and what it has started are ended when it has, as after any exit.
            descendants.signal_process(pid, signal.SIGKILL)
        return None

    def _fork(self, number: int, pipe: int, report: int) -> Connection | None:
        try:
            pid = os.fork()
        except OSError:  # too many processes; the closed report says so
            os.close(pipe)
            os.close(report)
            return None
        if pid == 0:
            os.close(report)
            return Connection(pipe)
        os.close(pipe)
        self._pids[number], self._numbers[pid], self._reports[number] = pid, number, report
        return None

    def _be_child(self, pipe: Connection, before: dict[int, Any], own: list[int]) -> None:
        """Run handlers, in a session of its own, until the worker closes the connection."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, action in before.items():
            signal.signal(number, action)
        self._control.close()
        for each in (*own, *self._reports.values()):
            os.close(each)
        _end_with_the_server()
        descendants.adopt_orphans()
        PoolProcess(pipe, self._set_up).serve()
        sys.exit()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._numbers.pop(pid, None)
            if number is not None:
                del self._pids[number]
                # Before the report: the worker writes the job's end once it has read that.
                self._end_left_behind(pid)
                self._report(number, status)

    def _report(self, number: int, status: int) -> None:
        report = self._reports.pop(number)
        with contextlib.suppress(OSError):  # no thread waits for it any more
            os.write(report, EXIT.pack(os.waitstatus_to_exitcode(status)))
        os.close(report)

    def _end_left_behind(self, leader: int) -> None:
        """Kill what an ended process has started, and wait until it is gone.

        A descendant's own children become ours when it ends, so this repeats until there are none.
        """
        deadline = time.monotonic() + LEFT_BEHIND_SECONDS
        while time.monotonic() < deadline:
            orphans = (descendants.children() or {}).keys() - self._numbers.keys()
            if not orphans and not descendants.is_group(leader):
                return
            descendants.signal_group(leader, signal.SIGKILL)
            for each in orphans:
                descendants.signal_process(each, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(each, os.WNOHANG)
            time.sleep(_PAUSE_SECONDS)

    def _end_all(self) -> None:
        for pid in self._numbers:
            descendants.signal_group(pid, signal.SIGKILL)
        deadline = time.monotonic() + LEFT_BEHIND_SECONDS
        while self._numbers and time.monotonic() < deadline:
            self._reap()
            time.sleep(_PAUSE_SECONDS)


def _end_with_the_server() -> None:
    """A process that outlives its worker would run beside the successor's."""
    server = os.getppid()
    if descendants.end_with_parent():
        return

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(LOOK_SECONDS)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="server-watch", daemon=True).start()
