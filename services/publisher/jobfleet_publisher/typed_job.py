"""A job of a handler's own ``submit``: its result has the type that the handler returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_publisher.job_result import JobResult
from jobfleet_publisher.submitted_job import SubmittedJob
from jobfleet_publisher.sync import SubmittedJob as SyncSubmittedJob

R = TypeVar("R")
Read = Callable[[Any], R]
"""Makes of a result, which is JSON, what the handler returned."""


class _Facts:
    def __init__(self, job: SubmittedJob | SyncSubmittedJob) -> None:
        self.job_id = job.job_id
        self.submitted = job.submitted
        self.created = job.created
        self.warning = job.warning

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.job_id!r})"


class TypedJob(_Facts, Generic[R]):
    """Follows one job whose handler returns ``R``.

    Attributes:
        submitted: the state in which the submit found or left the job.
        created: whether this submit made it; false for a repetition.
        warning: what the submitter should know, ``None`` for nothing.
    """

    def __init__(self, job: SubmittedJob, read: Read[R]) -> None:
        """Made by a handler's ``submit``."""
        super().__init__(job)
        self._job = job
        self._read = read

    async def wait(
        self, timeout: float | None = None, *, progress: Callable[[Event], object] | None = None
    ) -> R:
        """Wait until the job has ended, and return what its handler returned.

        Args:
            timeout: seconds; ``None`` waits for as long as it takes.
            progress: is called with the job's newest event whenever a look finds another one.

        Raises:
            JobFailed: the job ended in another state than ``completed``; ``result`` holds its end.
            TimeoutError: not ended in time. The job goes on; wait again or cancel it.
        """
        return self._read((await self._job.wait(timeout, progress=progress)).unwrap())

    async def result(self, timeout: float | None = None) -> JobResult:
        """Wait until the job has ended, and return how, whatever that is.

        Raises:
            TimeoutError: not ended in time. The job goes on.
        """
        return await self._job.wait(timeout)

    async def state(self) -> State:
        """Return where the job stands now."""
        return await self._job.state()

    async def cancel(self, *, by: str | None = None, reason: str = "") -> State:
        """Ask for the job's end; see :meth:`jobfleet_publisher.SubmittedJob.cancel`."""
        return await self._job.cancel(by=by, reason=reason)


class SyncTypedJob(_Facts, Generic[R]):
    """Same as :class:`TypedJob`, blocking."""

    def __init__(self, job: SyncSubmittedJob, read: Read[R]) -> None:
        """Made by a handler's ``submit_sync``."""
        super().__init__(job)
        self._job = job
        self._read = read

    def wait(self, timeout: float | None = None) -> R:
        """Block until the job has ended, and return what its handler returned.

        Raises:
            JobFailed: the job ended in another state than ``completed``; ``result`` holds its end.
            TimeoutError: not ended within ``timeout`` seconds; the job goes on.
        """
        return self._read(self._job.wait(timeout).unwrap())

    def result(self, timeout: float | None = None) -> JobResult:
        """Block until the job has ended, and return how, whatever that is.

        Raises:
            TimeoutError: not ended within ``timeout`` seconds; the job goes on.
        """
        return self._job.wait(timeout)

    def state(self) -> State:
        """Return where the job stands now."""
        return self._job.state()

    def cancel(self, *, by: str | None = None, reason: str = "") -> State:
        """Ask for the job's end; see :meth:`jobfleet_publisher.SubmittedJob.cancel`."""
        return self._job.cancel(by=by, reason=reason)
