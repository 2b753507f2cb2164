"""Reads what handlers logged, in pages of limited size; lines are stored masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.cursor import NUMBER, CursorForm
from jobfleet_contracts.errors import UnknownJob
from jobfleet_contracts.job_logs import JobLogs, LogSize
from jobfleet_contracts.log_line import MAX_LINE_BYTES, LogLine, clear_line
from jobfleet_contracts.ports import AuditTrail
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.reading.readable_trail import ReadableTrail

PAGE_BYTES = 65_536
MAX_PAGE_BYTES = 1_000_000
_MAX_LOGS = 20
"""Logs that one page looks into: an attempt may have logged a few bytes only."""
_CURSOR = CursorForm(f"({NUMBER})-({NUMBER})")


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line and where it stands.

    Attributes:
        position: offset of its first byte in the log of its epoch.
    """

    epoch: int
    position: int
    line: LogLine

    def to_json(self) -> dict[str, Any]:
        """Return the line with its epoch."""
        return {"epoch": self.epoch, **self.line.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some lines in a row, oldest first.

    Attributes:
        cursor: behind the last line: where a later page goes on, when more was logged.
        is_last: whether no line stood behind them when they were read.
        is_first: whether no line stands before them.
    """

    lines: Sequence[StoredLine]
    cursor: str
    is_last: bool = True
    is_first: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return ``{"items", "next", "cursor"}``; ``next`` is null on the last page."""
        return {
            "items": [line.to_json() for line in self.lines],
            "next": None if self.is_last else self.cursor,
            "cursor": self.cursor,
        }


class LogReader:
    """Reads the lines of one job."""

    def __init__(self, *, trail: AuditTrail, logs: JobLogs, coder: ValueCoder = NO_CODER) -> None:
        self._coder = coder
        self._trail = ReadableTrail(trail)
        self._logs = logs

    async def page(
        self, job_id: str, *, cursor: str | None = None, limit_bytes: int = PAGE_BYTES
    ) -> LogPage:
        """Return the lines from a cursor on, ``None``: from the first line of the first attempt.

        A page ends with the line that brings it to ``limit_bytes``.

        Raises:
            InvalidRequest: this list did not return the cursor.
            UnknownJob: no trail.
        """
        epoch, position = (int(part) for part in _CURSOR.parts(cursor or "0-0"))
        sizes = await self._sizes(job_id)
        ahead = [log for log in sizes if log.epoch >= epoch]
        found: list[StoredLine] = []
        left = limit_bytes
        for number, log in enumerate(ahead):
            start = position if log.epoch == epoch else 0
            lines, end = await self._lines(job_id, log, start, left)
            found += lines
            left -= end - start
            epoch, position = log.epoch, end
            if left <= 0 or number == _MAX_LOGS:
                is_last = end >= log.size and log is ahead[-1]
                return LogPage(lines=found, cursor=f"{epoch}-{position}", is_last=is_last)
        return LogPage(lines=found, cursor=f"{epoch}-{position}")

    async def newest(self, job_id: str, *, limit_bytes: int = PAGE_BYTES) -> LogPage:
        """Return the last lines, as many as these bytes hold.

        Raises:
            UnknownJob: no trail.
        """
        sizes = await self._sizes(job_id)
        found: list[StoredLine] = []
        left, cursor, is_first = limit_bytes, "0-0", True
        for log in reversed(sizes[-_MAX_LOGS:]):
            start = max(0, log.size - left)
            lines, end = await self._lines(job_id, log, start, left)
            if start > 0:  # the first one is not a whole line
                lines, is_first = lines[1:], False
            cursor = cursor if found or cursor != "0-0" else f"{log.epoch}-{end}"
            found = [*lines, *found]
            left -= end - start
            if left <= 0:
                break
        shown = {line.epoch for line in found}
        is_first = is_first and all(log.epoch in shown for log in sizes)
        return LogPage(lines=found, cursor=cursor, is_first=is_first)

    async def _sizes(self, job_id: str) -> Sequence[LogSize]:
        sizes = await self._logs.sizes(job_id)
        if not sizes and await self._trail.newest(job_id) is None:
            raise UnknownJob(f"no job {job_id}")
        return sizes

    async def _lines(
        self, job_id: str, log: LogSize, start: int, limit: int
    ) -> tuple[list[StoredLine], int]:
        """Return lines from a position on until they fill the limit, and where they end."""
        if start >= log.size:
            return [], start
        body = await self._logs.read(
            job_id, log.epoch, start=start, limit=max(limit, 0) + MAX_LINE_BYTES
        )
        found, end = [], start
        for line in body[: body.rfind(b"\n") + 1].splitlines(keepends=True):
            found.append(StoredLine(log.epoch, end, clear_line(LogLine.decode(line), self._coder)))
            end += len(line)
            if end - start >= limit:
                break
        return found, end if found else log.size
