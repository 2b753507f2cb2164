"""The worker's side of the pool: which processes are warm, and which have work."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from multiprocessing.connection import Connection, wait
from typing import Any

import structlog

from jobfleet_worker.handlers.open_hooks import SHUTDOWN_SECONDS
from jobfleet_worker.processes.fork_server import END, EXIT, REQUEST, SIGNAL, START
from jobfleet_worker.processes.pool_process import After, PoolSetUp

MAIN = "__main__"
EXIT_SECONDS = SHUTDOWN_SECONDS + 2.0
"""For a process to end by itself, with its shutdown hooks, before it is killed."""
HASTY_EXIT_SECONDS = 2.0
"""The same while the end of a job waits for it."""
FORK_SERVER_LOST = "fork_server.lost"
SERVER_EXIT_SECONDS = 10.0
"""For the fork server to kill what is left."""


_log = structlog.get_logger()
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from jobfleet_worker.processes.fork_server import main; main()"
)


class ProcessLost(Exception):
    """A process ended, or could not be started.

    Attributes:
        exit_code: as in :mod:`subprocess`; ``None``: it is not known.
    """

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the handler's process ended with exit code {exit_code}")
        self.exit_code = exit_code


class _Server:
    """The fork server of one pool. Requests may come from any thread."""

    def __init__(self, set_up: PoolSetUp) -> None:
        self._control, theirs = socket.socketpair()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        own = (str(theirs.fileno()), str(os.getpid()))
        self._process = subprocess.Popen(
            [sys.executable, *flags, "-c", _PROGRAM, *own],
            stdin=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is the worker's to answer
        )
        theirs.close()
        self._numbers = itertools.count(1)
        self._guard = threading.Lock()
        with self._process.stdin as source:  # type: ignore[union-attr]
            source.write(json.dumps(sys.path).encode() + b"\n" + pickle.dumps(set_up))

    @property
    def is_alive(self) -> bool:
        """Whether it had not ended a moment ago."""
        return self._process.poll() is None

    def start(self) -> WarmProcess:
        """Ask for a process; returns before it is ready.

        Raises:
            OSError: the server has ended.
        """
        pipe, their_pipe = socket.socketpair()
        report, their_report = os.pipe()
        number = next(self._numbers)
        process = WarmProcess(self, number, Connection(pipe.detach()), report)
        try:
            request = REQUEST.pack(START, number, 0)
            with self._guard:
                files = [their_pipe.fileno(), their_report]
                socket.send_fds(self._control, [request], files)
        finally:
            their_pipe.close()
            os.close(their_report)
        return process

    def request(self, kind: bytes, number: int, signal_number: int = 0) -> None:
        """Ask for something to be done to a process; do nothing if that or the server has ended."""
        with self._guard, contextlib.suppress(OSError):
            self._control.sendall(REQUEST.pack(kind, number, signal_number))

    def close(self) -> None:
        """End it and all its processes, and what they have started."""
        self._control.close()
        try:
            self._process.wait(SERVER_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WarmProcess:
    """One process, as the worker sees it. Not for two threads at once, but for ``signal``.

    Attributes:
        has_begun: it has reported that it runs the handler of its job.
    """

    def __init__(self, server: _Server, number: int, pipe: Connection, report: int) -> None:
        self._server = server
        self._number = number
        self._pipe = pipe
        self._report = report
        self.has_begun = False
        self._exit_code: int | None = None
        self._has_ended = False

    def send(self, value: Any) -> None:
        """Send a job, or an answer.

        Raises:
            OSError: the process has ended or closed its end; ``receive`` tells more.
        """
        self._pipe.send(value)

    def receive(self) -> tuple[Any, ...]:
        """Wait for what the process says next.

        Raises:
            ProcessLost: it has ended, and so has all that it had started. The end of the connection
                is no sign of it: a process that it forked may hold it open, and a handler may close
                it.
        """
        sources: list[Any] = [self._pipe, self._report]
        while True:
            ready = wait(sources)
            if self._pipe not in ready:
                self._read_report()
                raise ProcessLost(self._exit_code)
            try:
                message: tuple[Any, ...] = self._pipe.recv()
            except (EOFError, OSError):
                sources = [self._report]
            else:
                return message

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a job. One that says something before it has one has ended.

        Its end closes the connection at once; the report comes when all that it started is gone.
        """
        return not self._has_ended and not wait([self._report, self._pipe], 0)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its group; quiet once it has ended."""
        self._server.request(SIGNAL, self._number, number)

    def kill(self) -> None:
        """Kill it and, once it is dead, all that it has started."""
        self._server.request(END, self._number)

    def end(self, seconds: float = EXIT_SECONDS) -> None:
        """Let it end in order, kill it if it takes too long; returns when all of it is gone."""
        self._pipe.close()
        if not self._has_ended and not wait([self._report], seconds):
            self.kill()
        if not self._has_ended:
            self._read_report()
        os.close(self._report)

    def _read_report(self) -> None:
        report = os.read(self._report, EXIT.size)
        self._exit_code = EXIT.unpack(report)[0] if report else None
        self._has_ended = True


class ProcessPool:
    """Warm processes for the handlers of some modules.

    ``take`` and ``release`` may be called on any thread; they start processes and wait for their
    end. Places are for one event loop.

    Args:
        size: how many jobs run at once in processes.
        set_up: what each process begins with; without modules nothing is ever started.

    Attributes:
        freed: how many places were released so far.
    """

    def __init__(self, *, size: int, set_up: PoolSetUp) -> None:
        self.size = size
        self._set_up = set_up
        self._server: _Server | None = None
        self._idle: list[WarmProcess] = []
        self._busy = 0
        self._guard = threading.Lock()
        self._is_closed = False
        self._free_places = asyncio.Semaphore(size)
        self._placed: set[str] = set()
        self.freed = 0

    def has_place(self, job_id: str) -> bool:
        """Return whether a process is kept for the job, or runs it."""
        return job_id in self._placed

    async def place(self, job_id: str, seconds: float) -> bool:
        """Wait for a free process and keep it for a job; returns whether there was one in time.

        Places are given in the order of the calls. A job has one at most.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._free_places.acquire()
        except TimeoutError:
            return False
        if job_id in self._placed:  # another message of the job came first
            self._free_places.release()
            return False
        self._placed.add(job_id)
        return True

    def free_place(self, job_id: str) -> None:
        """Give a job's place to the next; do nothing if it has none."""
        if job_id in self._placed:
            self._placed.discard(job_id)
            self.freed += 1
            self._free_places.release()

    def start(self) -> None:
        """Begin to start the processes, in the background."""
        if self._set_up.modules:
            threading.Thread(target=self._fill_quietly, name="processes", daemon=True).start()

    def take(self, *, is_new: bool = False) -> WarmProcess:
        """Return a process for one job: a warm one, or else a new one.

        Raises:
            OSError: none can be started.
        """
        with self._guard:
            waiting = () if is_new else self._idle
            found = next((each for each in waiting if each.is_idle), None)
            gone = [each for each in self._idle if not each.is_idle]
            self._idle = [each for each in self._idle if each is not found and each not in gone]
            for each in gone:
                each.end()
            found = found or self._new_process()
            self._busy += 1
            return found

    def release(self, process: WarmProcess, after: After) -> None:
        """Take a process back from its job; returns when what has to end first is gone.

        A process that is not used again has its successor by then.
        """
        with self._guard:
            self._busy -= 1
            has_room = not self._is_closed and len(self._idle) + self._busy < self.size
            if after is After.REUSE and has_room and process.is_idle:
                process.has_begun = False
                self._idle.append(process)
                return
        if after is After.REPLACE:
            threading.Thread(target=process.end, name="process-end", daemon=True).start()
        else:
            process.end(HASTY_EXIT_SECONDS)
        self._fill_quietly()

    def close(self) -> None:
        """End all processes, in order as far as they do it in time."""
        with self._guard:
            self._is_closed = True
            idle, self._idle = self._idle, []
        ends = [threading.Thread(target=each.end, daemon=True) for each in idle]
        for each in ends:
            each.start()
        for each in ends:
            each.join()
        with self._guard:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    def _fill_quietly(self) -> None:
        """Start what is missing; a machine that refuses is asked again by the next job."""
        with self._guard, contextlib.suppress(OSError):
            while not self._is_closed and len(self._idle) + self._busy < self.size:
                self._idle.append(self._new_process())

    def _new_process(self) -> WarmProcess:
        if self._server is None or not self._server.is_alive:
            if self._server is not None:
                _log.warning(FORK_SERVER_LOST)
                self._server.close()
            self._server = _Server(self._set_up)
        return self._server.start()


def process_pool(
    modules: Collection[str],
    *,
    size: int,
    hook_modules: Collection[str] = (),
    max_jobs: int = 100,
    max_mib: int | None = None,
    set_up: Callable[[], None] | None = None,
) -> ProcessPool:
    """Return the pool for the handlers of some modules; see :class:`PoolSetUp`."""
    main = getattr(sys.modules.get(MAIN), "__file__", None) if MAIN in modules else None
    chosen = PoolSetUp(
        modules=tuple(modules),
        hook_modules=tuple(hook_modules),
        main=main,
        argv=tuple(sys.argv),
        set_up=set_up,
        max_jobs=max_jobs,
        max_mib=max_mib,
    )
    return ProcessPool(size=size, set_up=chosen)
