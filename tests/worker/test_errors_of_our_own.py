"""An error of our own, raised on entry to every function between a claim and its ending."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import jobfleet_worker
from jobfleet_contracts.state import State
from jobfleet_worker import handler
from jobfleet_worker.handlers.context import BlockingJobContext, JobContext
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import LEASE_SECONDS, Workshop

FIRST = ("run/executor.py", "Executor.run")
FILES = (
    *("run/executor.py", "run/job_run.py", "run/run_lease.py", "run/attempt.py"),
    *("run/outcome_record.py", "run/unsent.py", "run/follow_up.py"),
    *("handlers/runners.py", "handlers/progress_log.py", "run/attempt_inputs.py"),
    *("handlers/context.py", "handlers/registry.py", "handlers/outcomes.py", "tracing.py"),
)
ENDED = (State.COMPLETED, State.FAILED)
PACKAGE = Path(jobfleet_worker.__file__).parent

Place = tuple[str, str]
BY_TIMER = frozenset({"JobRun.status", "JobRun.look_for_cancel", "JobRun._look", "JobRun._moved"})
"""Entered by heartbeats and renewals: only runs that last for some time meet them."""


class InjectedError(Exception):
    """Raised in our own code on purpose."""


class Gate:
    """Holds handlers until the test lets them go on."""

    def __init__(self) -> None:
        self.is_open: Callable[[], bool] = lambda: True


gate = Gate()


@handler("async", max_attempts=3)
async def coroutine(context: JobContext) -> Any:
    while not gate.is_open():  # noqa: ASYNC110 - it is asked what the test has seen
        await asyncio.sleep(0.02)
    await context.progress(1, 2, "half")
    await context.checkpoint({"at": 1})
    if context.attempt == 1:
        raise ValueError("on purpose")
    return context.last_checkpoint


@handler("plain", max_attempts=3)
def plain(context: BlockingJobContext) -> Any:
    while not gate.is_open():
        time.sleep(0.02)
    context.checkpoint({"at": 1})
    if context.attempt == 1:
        raise ValueError("on purpose")
    return context.last_checkpoint


class Places:
    """The functions that a job's run enters, in order; ``target`` raises on its first entry."""

    def __init__(self, target: Place | None = None) -> None:
        self.entered: dict[Place, None] = {}
        self.raised = False
        self.target = target
        self._began = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._see)
        try:
            yield
        finally:
            sys.settrace(before)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or (place := _place_of(frame.f_code)) is None:
            return
        self._began = self._began or place == FIRST
        if not self._began:
            return
        self.entered[place] = None
        if place == self.target and not self.raised:
            self.raised = True
            raise InjectedError(f"on entry to {place}")


def _place_of(code: CodeType) -> Place | None:
    name = _file_of(code.co_filename)  # asked at each call of any function
    return None if name is None or code.co_name == "<module>" else (name, code.co_qualname)


@cache
def _file_of(path: str) -> str | None:
    if not Path(path).is_relative_to(PACKAGE):
        return None
    name = str(Path(path).relative_to(PACKAGE))
    return name if name in FILES else None


@pytest.fixture(autouse=True)
def open_gate() -> Iterator[None]:
    yield
    gate.is_open = lambda: True


@pytest.mark.parametrize("job_type", ["async", "plain"])
async def test_an_error_of_our_own_at_any_point_of_a_run_ends_the_attempt(
    workshop: Workshop, clock: SteeredClock, job_type: str
) -> None:
    running = workshop.start_worker(coroutine, plain, concurrency=2)
    seen = Places()
    gate.is_open = lambda: {name for _, name in seen.entered} >= BY_TIMER
    with seen.watched():
        await workshop.run(job_type)
    assert len(seen.entered) > 30, "the watch sees the functions of a run"

    async def slots_are_free() -> bool:
        return (
            not running.worker.executor.running
            and running.worker._running.consumer._slots.free == 2
        )

    async def is_met(broken: Places, *, is_held: bool) -> bool:
        gate.is_open = (lambda: broken.raised) if is_held else lambda: True
        with broken.watched():
            job_id = await workshop.submit(job_type)
            try:
                with suppress(AssertionError):
                    await workshop.until_state(job_id, *ENDED, seconds=30 if is_held else 1.5)
                clock.advance(2 * LEASE_SECONDS)  # what was not recorded is taken over
                await workshop.until_state(job_id, *ENDED, seconds=15)
                await eventually("the slot is free", slots_are_free)
            except AssertionError:
                unended[broken.target] = await workshop.statuses(job_id)
        return broken.raised

    unended: dict[Place | None, list[str]] = {}
    # A run that is still leaving its slot would be taken for that of the next job.
    await eventually("the slot is free", slots_are_free)
    # Around the handler both kinds of run enter the same functions: one of them shows those.
    tried = [place for place in seen.entered if job_type == "async" or "handlers/" in place[0]]
    for place in sorted(tried, key=lambda place: place[1] not in BY_TIMER):
        # What a short run need not enter, one that lasts does.
        raised = await is_met(Places(place), is_held=place[1] in BY_TIMER)
        assert raised or await is_met(Places(place), is_held=True), place
    assert not unended
