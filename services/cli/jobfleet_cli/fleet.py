"""Dashboard and workers as child processes of this one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from jobfleet_cli.child_process import ChildProcess
from jobfleet_cli.exit_code import ExitCode

CHILD_DIED = "child.died"
CHILD_REPLACED = "child.replaced"
CODE_CHANGED = "code.changed"
MOST_FILES = 10
CHILD_KILLED = "child.killed"
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""A child that lived so long starts again at once, not with the pause of its last deaths."""
STOP_MARGIN_SECONDS = 15.0
"""Added to the drain time before a child that does not stop is killed."""

_log = structlog.get_logger()


class Fleet:
    """Keeps its children running, restarts those that died, stops them in order."""

    def __init__(self, *, children: Sequence[ChildProcess], drain_seconds: float) -> None:
        self._children = children
        self._stop_seconds = drain_seconds + STOP_MARGIN_SECONDS
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._code = ExitCode.DONE

    def request_stop(self) -> None:
        """Ask for an orderly stop; thread-safe."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    def reload(self, changed: Sequence[str]) -> None:
        """Stop the children that run changed code; each starts again as soon as it has ended.

        Args:
            changed: names of files, for the log.
        """
        _log.info(CODE_CHANGED, files=changed[:MOST_FILES])
        self._changed.set()
        self._changed = asyncio.Event()
        for child in self._children:
            if child.reloads:
                child.ask_to_stop()

    async def run(self) -> ExitCode:
        """Run until asked to stop, or until a child says that the configuration is wrong.

        Nothing that it started is left running when it returns or is cancelled.
        """
        keepers = [
            asyncio.create_task(self._keep(child), name=f"keep-{child.name}")
            for child in self._children
        ]
        try:
            await self._stopping.wait()
            for child in self._children:
                child.ask_to_stop()
            await asyncio.wait(keepers, timeout=self._stop_seconds)
        finally:
            await self._end(keepers)
        return self._code

    async def _keep(self, child: ChildProcess) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            started, changed = self._loop.time(), self._changed
            code = await child.run()
            if self._stopping.is_set():
                return
            if code == ExitCode.DONE:  # a worker that is replaced, or one with changed code
                _log.info(CHILD_REPLACED, child=child.name)
                continue
            if code == ExitCode.USAGE and child.reloads:
                await self._until(changed)
                continue
            if code == ExitCode.USAGE:
                self._code = ExitCode.USAGE
                self._stopping.set()
                return
            if self._loop.time() - started > SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            _log.warning(CHILD_DIED, child=child.name, exit_code=code, restart_in_seconds=pause)
            await self._pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _until(self, changed: asyncio.Event) -> None:
        """Wait for a change of the code since a child's start: as it was, it cannot run."""
        waits = [changed.wait(), self._stopping.wait()]
        tasks = [asyncio.create_task(each, name="reload") for each in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _end(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        for child in self._children:
            if child.pid is not None:
                _log.warning(CHILD_KILLED, child=child.name, pid=child.pid)
                child.kill()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
