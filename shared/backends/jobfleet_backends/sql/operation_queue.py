"""Operations on their way to a connection's thread, results on the way back to their callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from queue import Empty
from typing import Any, TypeVar

from jobfleet_backends.sql.warm_queue import WarmQueue
from jobfleet_contracts.errors import BackendUnavailable

T = TypeVar("T")
Operation = Callable[[Any], T]
"""Takes its thread's connection and may run twice: what it raises is its caller's answer.

A ``BackendError`` means that it has written nothing; anything else undoes the whole batch.
"""
QueuedOperation = tuple[Any, "asyncio.Future[Any]"]
"""An operation, or whatever else the queue's threads know how to run, and its answer."""
HOLD_SECONDS = 0.005
Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]


class OperationQueue:
    """A queue of operations from any number of event loops to any number of threads."""

    def __init__(self, *, backend: str) -> None:
        """Make an empty queue of the backend that refusals name."""
        self._backend = backend
        self._queued: WarmQueue[QueuedOperation | None] = WarmQueue()
        self._held: list[QueuedOperation] = []
        self._holding = threading.Lock()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether no more operations are taken."""
        return self._closed

    def post(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Queue an operation; the future belongs to the running loop.

        It fails with ``BackendUnavailable`` where the backend has been closed.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(BackendUnavailable(f"the {self._backend} backend has been closed"))
        else:
            self.release()
            self._queued.put((operation, future))
        return future

    def post_soon(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Queue an operation that no caller waits for: with the next one, or after 5 ms.

        By itself it would be a transaction of its own, for which others would have to wait. The
        order of the calls is kept.
        """
        if self._closed:
            return self.post(operation)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._holding:
            self._held.append((operation, future))
            is_first = len(self._held) == 1
        if is_first:
            loop.call_later(HOLD_SECONDS, self.release)
        return future

    def release(self) -> None:
        """Hold nothing back any longer."""
        if not self._held:
            return
        with self._holding:
            held, self._held = self._held, []
            for each in held:
                self._queued.put(each)

    def take(self, limit: int) -> list[QueuedOperation]:
        """Wait for an operation, and take what is queued behind it; empty at the end."""
        queued: list[QueuedOperation] = []
        operation = self._queued.get()
        try:
            while operation is not None:
                queued.append(operation)
                if len(queued) == limit:
                    return queued
                operation = self._queued.get_nowait()
            self._queued.put(None)
        except Empty:
            pass
        return queued

    def close(self) -> None:
        """Take no more; threads end once everything queued is answered."""
        self._closed = True
        self.release()
        self._queued.put(None)


def deliver(answers: Iterable[Answer]) -> None:
    """Hand results to their callers, waking each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, of_loop in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, of_loop)
        except RuntimeError:  # the loop has been closed: no task waits any more
            continue


def _settle(answers: list[Answer]) -> None:
    for future, value, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
