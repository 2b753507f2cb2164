"""Runs blocking calls of the product's own beside an event loop.

User code may fill the loop's default executor with calls that block for minutes. So neither
``asyncio.to_thread`` nor ``run_in_executor(None, …)`` may carry a call of the product.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


def in_own_thread(
    call: Callable[..., T],
    /,
    *values: Any,
    name: str,
    kind: type[threading.Thread] = threading.Thread,
) -> asyncio.Future[T]:
    """Run a call in a daemon thread of its own, with the context variables of here.

    The loop's ``run_in_executor`` takes part, so that a simulated loop has no real threads.

    Args:
        name: of the thread.
        kind: makes the thread.

    Raises:
        BaseException: what the call raises, from the future.
    """
    scope = contextvars.copy_context()
    work = partial(scope.run, call, *values)
    return asyncio.get_running_loop().run_in_executor(_OneThread(name, kind), work)


class _OneThread(Executor):
    """Runs each call in a daemon thread: a stuck one holds up no other and no exit."""

    def __init__(self, name: str, kind: type[threading.Thread]) -> None:
        self._name = name
        self._kind = kind

    def submit(  # type: ignore[override]
        self, call: Callable[..., T], /, *args: Any
    ) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*args))
            except BaseException as error:  # noqa: BLE001 - unset, the caller would never go on
                future.set_exception(error)

        self._kind(target=run, name=self._name, daemon=True).start()
        return future
