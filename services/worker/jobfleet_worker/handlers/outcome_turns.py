"""Lets two threads at most make JSON of large results, or text of errors, at a time.

Each such thread takes its share of Python's interpreter lock. With many of them the worker's loop
and the thread that renews leases would get theirs too seldom.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2
LONGEST_WAIT_SECONDS = 2.0

_turns = threading.Semaphore(AT_ONCE)


@contextmanager
def outcome_turn() -> Iterator[None]:
    """Wait for a turn, within the handler's time limit; call it where the handler ran.

    A thread goes on without a turn after 2 s: code of the user's may hang in its own turn.
    """
    has_turn = _turns.acquire(timeout=LONGEST_WAIT_SECONDS)
    try:
        yield
    finally:
        if has_turn:
            _turns.release()
