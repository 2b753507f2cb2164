"""A queue between threads whose waiting taker that waited last is served first."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty
from typing import Generic, TypeVar

T = TypeVar("T")


class WarmQueue(Generic[T]):
    """Like ``SimpleQueue``, but one thread does all the work while one is enough.

    Each thread opens its connection with the first work that it gets. A process that asks one thing
    after the other then opens one connection, and not one for each thread.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._items: deque[T] = deque()
        self._waiting: list[threading.Lock] = []
        """A locked lock for each thread that waits; releasing it wakes the thread."""

    def put(self, item: T) -> None:
        """Queue an item."""
        with self._turn:
            self._items.append(item)
            if self._waiting:
                self._waiting.pop().release()

    def get(self) -> T:
        """Take the oldest item; wait for one."""
        while True:
            with self._turn:
                if self._items:
                    return self._items.popleft()
                # Under the lock: a thread that queues an item from here on finds this one.
                awake = threading.Lock()
                awake.acquire()
                self._waiting.append(awake)
            awake.acquire()  # the item may be another thread's by then: look again

    def get_nowait(self) -> T:
        """Take the oldest item.

        Raises:
            Empty: there is none.
        """
        with self._turn:
            if not self._items:
                raise Empty
            return self._items.popleft()
