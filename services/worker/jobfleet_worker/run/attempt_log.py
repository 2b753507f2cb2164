"""The log of one attempt: lines come from any thread, and go to storage in the background."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from jobfleet_contracts.event import Event
from jobfleet_contracts.job_logs import JobLogs
from jobfleet_contracts.log_line import MAX_LOG_BYTES, LogLine, encoded_line
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder

FLUSH_SECONDS = 1.0
FLUSH_BYTES = 64 * 1024
LAST_SECONDS = 2.0
"""For what waits at the end of the attempt."""
LOG_AWAITED = "job_log.awaited"
LOG_ENDED_EARLY = "job_log.ended_early"
CUT = "the log of this attempt is cut here: it has reached 1 MB"
_ROOM_FOR_NOTICE = 1_000
_PAUSES = (0.25, 0.5, 1.0, 2.0, 5.0)

_log = structlog.get_logger()


class AttemptLog:
    """Keeps lines until the attempt ends; nothing is sent for one that logs nothing.

    Made on the worker's loop, outside of the handler's context.

    Args:
        logs: ``None``: no line is ever given.
        started: the claim of the attempt.
        may_begin: whether the job is certainly still this worker's. Without that no log is begun: a
            worker that slept could begin one of a job whose log was removed.
    """

    def __init__(
        self,
        *,
        logs: JobLogs | None,
        started: Event,
        may_begin: Callable[[], bool],
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._logs = logs
        self._job_id = started.job_id
        self._attempt, self._epoch = started.after.attempt, started.after.epoch
        self._may_begin = may_begin
        self._loop = asyncio.get_running_loop()
        # The writer's own lines must not become lines of the handler.
        self._context = contextvars.copy_context()
        self._guard = threading.Lock()
        self._waiting = bytearray()
        self._kept = 0
        self._has_news = self._is_hurried = self._is_over = False
        self._news, self._hurry, self._end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._position = 0
        self._ended_at = 0.0

    def keep(self, line: bytes) -> bool:
        """Take one line, from any thread; ``False``: no more are taken."""
        line = encoded_line(line, self._coder)
        with self._guard:
            if self._is_over:
                return False
            self._take(line)
            first, self._has_news = not self._has_news, True
            is_much = len(self._waiting) >= FLUSH_BYTES
            hurry, self._is_hurried = is_much and not self._is_hurried, is_much
        if first or hurry:
            with suppress(RuntimeError):  # the loop has ended, and the worker with it
                self._loop.call_soon_threadsafe(self._wake, hurry)
        return not self._is_over

    def end(self) -> None:
        """Take no more lines, and send at once what waits."""
        with self._guard:
            self._is_over = True
        self._end.set()
        self._ended_at = self._loop.time()
        self._wake(hurry=True)

    async def drain(self) -> None:
        """Wait until all is stored, two seconds after the end at most; then the rest is lost."""
        if self._task is None:
            return
        left = self._ended_at + LAST_SECONDS - self._loop.time()
        await asyncio.wait([self._task], timeout=max(left, 0.0))
        if not self._task.done():
            self._task.cancel()
            _log.warning(LOG_ENDED_EARLY, reason="storage did not answer in time")

    def _take(self, line: bytes) -> None:
        # All of it may wait for a storage that does not answer: 1 MB for each job that runs.
        if self._kept + len(line) > MAX_LOG_BYTES - _ROOM_FOR_NOTICE:
            line, self._is_over = self._last_line(), True
        self._waiting += line
        self._kept += len(line)

    def _last_line(self) -> bytes:
        now = datetime.now(UTC)
        return LogLine(at=now, attempt=self._attempt, level="warning", message=CUT).encode()

    def _wake(self, hurry: bool) -> None:
        if self._task is None and self._waiting:
            name = f"log-{self._job_id}"
            self._task = self._loop.create_task(self._run(), name=name, context=self._context)
        self._news.set()
        if hurry:
            self._hurry.set()

    async def _run(self) -> None:
        while self._waiting or not self._is_over:
            await self._news.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._hurry.wait()
            self._news.clear()
            self._hurry.clear()
            chunk = self._next()
            if chunk and not await self._append(chunk):
                self._give_up()
                return

    def _next(self) -> bytes:
        """Return what waits; from here on it is sent as it is until storage has answered."""
        with self._guard:
            chunk = bytes(self._waiting)
            self._waiting.clear()
            self._has_news = self._is_hurried = False
        return chunk

    async def _append(self, chunk: bytes) -> bool:
        """Append until storage has answered; an error says nothing of whether it was done."""
        assert self._logs is not None
        tries = 0
        while self._position or self._may_begin():
            try:
                stands = await self._logs.append(self._job_id, self._epoch, self._position, chunk)
            except Exception as error:  # noqa: BLE001 - a line that is lost fails no job
                if tries == 0:
                    _log.warning(LOG_AWAITED, error=str(error))
                await self._pause(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1
            else:
                self._position += len(chunk)
                return stands
        return False

    async def _pause(self, seconds: float) -> None:
        """Wait, a little only once the attempt has ended: its last lines have two seconds."""
        if self._end.is_set():
            await asyncio.sleep(_PAUSES[0])
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._end.wait()

    def _give_up(self) -> None:
        _log.warning(LOG_ENDED_EARLY, reason="the log was removed, or the job may be another's")
        with self._guard:
            self._is_over = True
            self._waiting.clear()
