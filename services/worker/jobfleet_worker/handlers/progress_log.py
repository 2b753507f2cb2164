"""Progress of one attempt: written at once, then at most once a second, the last never lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.errors import Fenced
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.transitions import Change

WRITE_SECONDS = 1.0
STEPS_A_WRITE = 20


@dataclass(frozen=True, slots=True)
class _Step:
    step: int
    of: int | None
    message: str
    skipped: int = 0


class ProgressLog:
    """Collects steps and writes up to 20 of them a second, each as a row.

    What does not fit is left out and counted in the ``Data`` of the next row.
    """

    def __init__(self, *, trail: HeldTrail, clock: Clock, coder: ValueCoder = NO_CODER) -> None:
        self._coder = coder
        self._trail = trail
        self._clock = clock
        self._steps: deque[_Step] = deque()
        self._skipped = 0
        self._last_write = float("-inf")
        self._flusher: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._step = 0
        self._checkpoints: set[asyncio.Task[None]] = set()

    async def progress(self, step: int, of: int | None, message: str) -> None:
        """Note a step; the first is written before this returns, later ones within a second."""
        self._note(_Step(step, of, message))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_in_time(), name="progress")
            if self._clock.boottime() - self._last_write >= WRITE_SECONDS:
                await asyncio.shield(self._flusher)

    async def checkpoint(self, value: Any) -> None:
        """Write a value that the next attempt finds; it is in the trail on return.

        A handler that is cancelled meanwhile interrupts nothing here.
        """
        task = asyncio.create_task(self._keep(value), name="checkpoint")
        self._checkpoints.add(task)
        task.add_done_callback(self._checkpoint_ended)
        await asyncio.shield(task)

    def _checkpoint_ended(self, task: asyncio.Task[None]) -> None:
        """Read the error for a handler that was cancelled: asyncio would log it as never read."""
        self._checkpoints.discard(task)
        if not task.cancelled():
            task.exception()

    async def _keep(self, value: Any) -> None:
        await self.flush()
        change = Change(
            kind=Status.STEP,
            step=self._step,
            worker_id=self._trail.head.after.worker_id,
            message="checkpoint",
            data={"checkpoint": self._coder.value(value)},
        )
        await self._trail.write(lambda _: [change])

    async def flush(self) -> None:
        """Write what is noted, now.

        Raises:
            Fenced: the claim is over.
        """
        if not self._steps:
            return
        steps = list(self._steps)
        self._steps.clear()
        self._last_write = self._clock.boottime()
        await self._trail.write(lambda head: [self._change(head, step) for step in steps])

    async def close(self) -> None:
        """Write the rest before the attempt's ending; do nothing if the claim is over."""
        self._closing.set()
        if self._flusher is not None:
            await self._flusher
        if self._checkpoints:
            await asyncio.wait(self._checkpoints)
        if not self._trail.is_closed:
            try:
                await self.flush()
            except Fenced:
                return

    def _note(self, step: _Step) -> None:
        if len(self._steps) == STEPS_A_WRITE:
            self._skipped += 1 + self._steps.popleft().skipped
        self._steps.append(_Step(step.step, step.of, step.message, self._skipped))
        self._skipped = 0
        self._step = step.step

    async def _flush_in_time(self) -> None:
        try:
            while self._steps:
                await self._until_due()
                await self.flush()
        except Fenced:
            self._steps.clear()
        finally:
            self._flusher = None

    async def _until_due(self) -> None:
        early = self._last_write + WRITE_SECONDS - self._clock.boottime()
        if early > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), early)

    def _change(self, head: Event, step: _Step) -> Change:
        of = f"{step.step}/{step.of}" if step.of is not None else str(step.step)
        data: dict[str, Any] = {"step": step.step, "of": step.of}
        if step.skipped:
            data["skipped"] = step.skipped
        return Change(
            kind=Status.STEP,
            step=step.step,
            worker_id=head.after.worker_id,
            message=f"{of} {self._coder.message(step.message)}".strip(),
            data=data,
        )
