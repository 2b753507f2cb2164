"""The publisher for code without an event loop: scripts, Django and Flask views, threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from jobfleet_contracts.errors import JobfleetError
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_publisher.job_details import JobDetails
from jobfleet_publisher.job_result import JobResult
from jobfleet_publisher.publisher import Publisher as AsyncPublisher
from jobfleet_publisher.submitted_job import SubmittedJob as AsyncSubmittedJob

T = TypeVar("T")


class Publisher:
    """Same as :class:`jobfleet_publisher.Publisher`, blocking; one may serve many threads.

    It runs an event loop in a thread of its own between ``start`` and ``stop``, or inside a
    ``with`` block. A server that forks starts one in each child, not before the fork.
    """

    def __init__(self, **flags: Any) -> None:
        """Read the environment at the start.

        Args:
            flags: settings that stand above the environment, as ``data_dir="/var/jobs"``.
        """
        self._flags = flags
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stack = AsyncExitStack()
        self._publisher: AsyncPublisher | None = None

    @classmethod
    def from_env(cls, **flags: Any) -> Publisher:
        """Return a publisher on the backend that the environment names, for ``with``."""
        return cls(**flags)

    def start(self) -> None:
        """Open the backend.

        Raises:
            SettingsError: a variable is unknown or has a bad value; the message names it.
        """
        if self._loop is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="jobfleet-publisher", daemon=True
        )
        self._thread.start()
        try:
            self._publisher = self._run(self._open())
        except BaseException:  # Ctrl-C too: the thread would outlive it
            self.stop()
            raise

    def stop(self) -> None:
        """Close the backend and end the thread; safe to call twice."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            self._run(self._stack.aclose())
        finally:
            self._loop = self._thread = self._publisher = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def submit(self, type: str, payload: Any = None, **options: Any) -> SubmittedJob:  # noqa: A002
        """Submit one job; options and errors as in :meth:`jobfleet_publisher.Publisher.submit`."""
        job = self._run(self._open_publisher.submit(type, payload, **options))
        return SubmittedJob(self, job)

    def submit_many(
        self, requests: Sequence[JobRequest | Mapping[str, Any]], *, by: str | None = None
    ) -> list[SubmittedJob | JobfleetError]:
        """Submit many jobs at once; see :meth:`jobfleet_publisher.Publisher.submit_many`."""
        answers = self._run(self._open_publisher.submit_many(requests, by=by))
        return [a if isinstance(a, JobfleetError) else SubmittedJob(self, a) for a in answers]

    def find(self, job_id: str) -> JobDetails | None:
        """Return where a job stands, by its id; ``None`` if there is no such job."""
        return self._run(self._open_publisher.find(job_id))

    def job(self, job_id: str) -> SubmittedJob:
        """Return a job that was submitted before; see :meth:`jobfleet_publisher.Publisher.job`."""
        return SubmittedJob(self, self._run(self._open_publisher.job(job_id)))

    @property
    def _open_publisher(self) -> AsyncPublisher:
        if self._publisher is None:
            raise RuntimeError("the publisher is not started; use it in a with block or start() it")
        return self._publisher

    async def _open(self) -> AsyncPublisher:
        return await self._stack.enter_async_context(AsyncPublisher.from_env(**self._flags))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise RuntimeError("the publisher is not started; use it in a with block or start() it")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C too: nobody waits for the answer any more
            future.cancel()
            raise


class SubmittedJob:
    """Same as :class:`jobfleet_publisher.SubmittedJob`, blocking."""

    def __init__(self, publisher: Publisher, job: AsyncSubmittedJob) -> None:
        """Made by the publisher."""
        self._publisher = publisher
        self._job = job

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def submitted(self) -> State:
        """The state in which the submit found or left the job."""
        return self._job.submitted

    @property
    def created(self) -> bool:
        """Whether this submit made the job; false for a repetition."""
        return self._job.created

    def state(self) -> State:
        """Return where the job stands now."""
        return self._publisher._run(self._job.state())

    def wait(self, timeout: float | None = None) -> JobResult:
        """Block until the job has ended.

        Raises:
            TimeoutError: not ended within ``timeout`` seconds; the job goes on.
        """
        return self._publisher._run(self._job.wait(timeout))

    def cancel(self, *, by: str | None = None, reason: str = "") -> State:
        """Ask for the job's end; see :meth:`jobfleet_publisher.SubmittedJob.cancel`."""
        return self._publisher._run(self._job.cancel(by=by, reason=reason))

    def __repr__(self) -> str:
        return f"SubmittedJob({self.job_id!r})"
