"""The port that keeps what handlers log.

What :mod:`jobfleet_contracts.ports` says of errors, loops and names holds here too. The trail
decides nothing by a log, and a log that is lost fails no job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LogSize:
    """How many bytes the log of one epoch has."""

    epoch: int
    size: int


class JobLogs(Protocol):
    """One log per job and epoch: bytes that are only appended, by the worker of that epoch."""

    async def append(self, job_id: str, epoch: int, position: int, body: bytes) -> bool:
        """Append to a log, at the position where it ends now; at 0 a new log begins.

        Repeatable with the same position and body, which doubles nothing. No second writer may
        use the same epoch.

        Args:
            body: not empty.

        Returns:
            Whether the bytes stand there. ``False``: the log was removed, or ends elsewhere.
            Append nothing to it any more.

        Raises:
            BackendUnavailable: it may have been done; repeat it as it is.
        """
        ...

    async def sizes(self, job_id: str) -> Sequence[LogSize]:
        """Return the logs of a job that are not empty, the oldest epoch first."""
        ...

    async def read(self, job_id: str, epoch: int, *, start: int = 0, limit: int) -> bytes:
        """Return up to ``limit`` bytes from ``start`` on; empty behind the end or without a log."""
        ...

    async def remove(self, job_id: str) -> None:
        """Remove all logs of a job. Do nothing if there are none."""
        ...
