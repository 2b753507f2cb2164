"""An event loop on simulated time; each thread of a simulated process has one."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar

from tests.simulation.virtual_time import Handle, VirtualTime

T = TypeVar("T")


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as code without sockets and threads asks for.

    Attributes:
        dead: its process has gone; nothing of it runs any more.
        frozen_until: its thread stands still until then, and goes on where it was.
        problems: what was not caught, as ``(message, exception)``.
    """

    def __init__(self, *, name: str, time: VirtualTime) -> None:
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.problems: list[tuple[str, BaseException | None]] = []
        self.tasks: list[tuple[asyncio.Task[Any], Context]] = []
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]
        self._time = time
        self._prune_at = 64

    def time(self) -> float:
        return self._time.now

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        handle = Handle((self, callback, args, copy_context() if context is None else context))
        self._time.soon(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        handle = Handle((self, callback, args, copy_context() if context is None else context))
        time = self._time
        time.at(time.now + delay if delay > 0 else time.now, handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        handle = Handle((self, callback, args, copy_context() if context is None else context))
        self._time.at(when, handle)
        return handle

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        context = context or copy_context()
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._remember(task, context)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run it at once: no thread of the world outside enters a simulation."""
        future = self.create_future()
        future.set_result(func(*args))
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.problems.append((context["message"], context.get("exception")))

    def close_tasks(self) -> None:
        """Throw away what never ended, with its ``finally`` clauses run in a world of its own.

        A process that vanishes runs none of them, so call it when nothing can come of them.
        """
        self.dead = True
        events._set_running_loop(self)
        while self.tasks:
            task, context = self.tasks.pop()
            if not task.done():
                context.run(_close, task.get_coro())
        events._set_running_loop(None)

    def _remember(self, task: asyncio.Task[Any], context: Context) -> None:
        self.tasks.append((task, context))
        if len(self.tasks) > self._prune_at:
            self.tasks = [pair for pair in self.tasks if not pair[0].done()]
            self._prune_at = 64 + 2 * len(self.tasks)


_TRIES = 20


def _close(coroutine: Any) -> None:
    for _ in range(_TRIES):
        try:
            coroutine.close()
        except RuntimeError:
            continue  # a finally clause awaits something: it never comes
        except BaseException:  # noqa: BLE001 - whatever it raises, nobody is there to hear it
            return
        else:
            return
