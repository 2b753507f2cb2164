"""Four worker processes that are started again whenever one has ended."""

import asyncio
import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from itertools import cycle
from random import Random

from tests.system.fleet import Fleet, WorkerProcess

_WORKER_ID = re.compile(r'"worker_id": ?"([0-9a-f-]{36})"')
RESTART_SECONDS = (0.5, 3.0)
LONGEST_GOODBYE_SECONDS = 30.0
"""From SIGTERM, or from waking up after it, to the end of a process; it drains for 2 s."""


class Processes:
    """Keeps the posts manned, as a supervisor in production does.

    Attributes:
        struck: when (epoch seconds) a worker id was killed or put to sleep.
    """

    def __init__(self, *, fleet: Fleet, size: int, scopes: Sequence[str], random: Random) -> None:
        self._fleet = fleet
        self._random = random
        self._scopes = cycle(scopes)
        self._posts = [self._start() for _ in range(size)]
        self._asleep: set[int] = set()
        self._leaving: list[WorkerProcess] = []
        self._watch = asyncio.create_task(self._keep_manned(), name="processes")
        self.struck: dict[str, list[float]] = {}

    def pick(self) -> WorkerProcess | None:
        """Return a worker that is at work, and known by its id."""
        awake = [
            worker
            for worker in self._posts
            if worker.pid not in self._asleep
            and worker not in self._leaving
            and not worker.has_died
            and _id_of(worker)
        ]
        return self._random.choice(awake) if awake else None

    def kill(self, worker: WorkerProcess) -> None:
        self._note(worker)
        worker.signal(signal.SIGKILL)

    def terminate(self, worker: WorkerProcess) -> None:
        self._leaving.append(worker)
        worker.signal(signal.SIGTERM)

    async def sleep(self, worker: WorkerProcess, seconds: float) -> None:
        """Stop the process, and wake it after a while, whatever happens meanwhile."""
        self._note(worker)
        self._asleep.add(worker.pid)
        await worker.put_to_sleep()
        try:
            await asyncio.sleep(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                worker.signal(signal.SIGCONT)
            self._asleep.discard(worker.pid)

    @property
    def sleepers(self) -> int:
        return len(self._asleep)

    @property
    def fenced(self) -> int:
        """How many attempts ended because their worker was fenced, over all logs."""
        return sum(worker.log.count('"job.fenced"') for worker in self._fleet.workers)

    @property
    def crashes(self) -> list[str]:
        """Logs of workers that ended by an error of their own."""
        ended = [worker for worker in self._fleet.workers if worker.has_died]
        return [worker.log[-2000:] for worker in ended if worker.wait(0) not in (0, -9, -6)]

    async def stay(self) -> list[str]:
        """Wait for those that were told to end; return where those hang that do not."""
        until = time.monotonic() + LONGEST_GOODBYE_SECONDS
        for worker in self._leaving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(worker.wait, max(0, until - time.monotonic()))
        hung = [worker for worker in self._leaving if not worker.has_died]
        return [await asyncio.to_thread(_stacks, worker) for worker in hung]

    async def stop(self) -> None:
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)

    async def _keep_manned(self) -> None:
        while True:
            for post, worker in enumerate(self._posts):
                if worker.has_died:
                    await asyncio.sleep(self._random.uniform(*RESTART_SECONDS))
                    self._posts[post] = self._start()
            await asyncio.sleep(0.1)

    def _start(self) -> WorkerProcess:
        """Start a worker with the next scope; several are a rolling update between them."""
        return self._fleet.start_worker(lock_scope=next(self._scopes))

    def _note(self, worker: WorkerProcess) -> None:
        self.struck.setdefault(_id_of(worker), []).append(time.time())


def _stacks(worker: WorkerProcess) -> str:
    """End a process so that Python's fault handler prints where its threads are."""
    worker.signal(signal.SIGABRT)
    worker.wait(10)
    return worker.log[-4000:]


def _id_of(worker: WorkerProcess) -> str:
    found = _WORKER_ID.search(worker.log)
    return found[1] if found else ""
