"""The publisher that a handler's ``submit`` uses: the one started last in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from jobfleet_publisher.publisher import Publisher
    from jobfleet_publisher.sync import Publisher as SyncPublisher

NO_PUBLISHER = (
    "no publisher is started on this event loop. Submit inside "
    "`async with Publisher.from_env():`, or start one with your web application"
)

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Publisher]] = WeakKeyDictionary()
_blocking: list[SyncPublisher] = []
_own: dict[int, SyncPublisher] = {}
"""The one that blocking submits opened by themselves, by process."""
_guard = threading.Lock()


def current_publisher() -> Publisher:
    """Return the publisher that was started last on the running loop.

    Raises:
        RuntimeError: none is started there; says what to do.
    """
    started = _by_loop.get(asyncio.get_running_loop())
    if not started:
        raise RuntimeError(NO_PUBLISHER)
    return started[-1]


def current_sync_publisher() -> SyncPublisher:
    """Return the blocking publisher that was started last, or open one for this process.

    Raises:
        SettingsError: none is started, and the environment has a bad value.
    """
    from jobfleet_publisher.sync import Publisher

    with _guard:
        if _blocking:
            return _blocking[-1]
        found = _own.get(os.getpid())
        if found is None:
            found = _own[os.getpid()] = Publisher()
    found.start()
    return found


def began(publisher: Publisher) -> None:
    """Note a publisher that was started on the running loop."""
    started = _by_loop.setdefault(asyncio.get_running_loop(), [])
    if publisher not in started:
        started.append(publisher)


def ended(publisher: Publisher) -> None:
    """Forget a publisher."""
    for started in list(_by_loop.values()):
        if publisher in started:
            started.remove(publisher)


def began_sync(publisher: SyncPublisher) -> None:
    """Note a blocking publisher that was started."""
    with _guard:
        if publisher not in _own.values() and publisher not in _blocking:
            _blocking.append(publisher)


def ended_sync(publisher: SyncPublisher) -> None:
    """Forget a blocking publisher."""
    with _guard:
        if publisher in _blocking:
            _blocking.remove(publisher)
        for process, own in list(_own.items()):
            if own is publisher:
                del _own[process]


def _after_fork() -> None:
    global _guard  # noqa: PLW0603 - a thread that is not here may have held the old one
    _guard = threading.Lock()
    _own.clear()
    _by_loop.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
