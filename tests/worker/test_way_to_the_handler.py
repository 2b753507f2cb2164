"""How many of our functions lie between the consume loop and the user's code."""

from __future__ import annotations

import asyncio
import inspect
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from jobfleet_worker import handler
from jobfleet_worker.handlers.context import JobContext
from tests.worker.workshop import Workshop

WAY = [
    *("Consumer._process_safely", "Consumer._process", "Consumer._act_on"),
    *("Executor.run", "JobRun.run", "JobRun._run_handler", "Attempt.run"),
    "LoopRunner._run",
]
"""As docs/architecture.md says; the last is the first of the handler's own task."""

seen: list[str] = []


@handler("who.calls")
async def who_calls(context: JobContext) -> None:
    (delivery,) = (task for task in asyncio.all_tasks() if task.get_name() == "delivery")
    seen[:] = [*_suspended(delivery.get_coro()), *_callers(sys._getframe().f_back)]


def _suspended(coroutine: Any) -> list[str]:
    """Return our functions that wait in a task, the outermost first."""
    frames = []
    while inspect.iscoroutine(coroutine):
        frames.append(coroutine.cr_frame)
        coroutine = coroutine.cr_await
    return _ours(frames)


def _callers(frame: FrameType | None) -> list[str]:
    frames: list[FrameType | None] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return _ours(frames[::-1])


def _ours(frames: list[FrameType | None]) -> list[str]:
    codes = [frame.f_code for frame in frames if frame is not None]
    return [code.co_qualname for code in codes if "jobfleet_worker" in Path(code.co_filename).parts]


async def test_eight_functions_lie_between_the_consume_loop_and_the_handler(
    workshop: Workshop,
) -> None:
    workshop.start_worker(who_calls)
    await workshop.run("who.calls")
    assert seen == WAY
