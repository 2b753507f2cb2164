"""Event 1 as a message tells it: assumed to stand, or written for a foreign publisher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from jobfleet_contracts.changed import changed
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.ports import Clock, JobIndex
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.submission import open_row, opening_change, reopen_if_slow
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft, unchained

KeysOf = Callable[[JobMessage], Mapping[str, str]]
"""Returns the keys that event 1 of a message's job may lack."""


class TrailOpening:
    """Knows how a trail begins whose first message has come.

    Args:
        fresh: age of a message up to which a first claim needs no read.
        keys: returns the lookup keys of a message whose submitter has announced none.
    """

    def __init__(
        self,
        *,
        index: JobIndex,
        writer: TrailWriter,
        clock: Clock,
        defaults: JobDefaults,
        fresh: timedelta,
        keys: KeysOf,
    ) -> None:
        self._keys = keys
        self._index = index
        self._writer = writer
        self._clock = clock
        self._defaults = defaults
        self._fresh = fresh

    def is_certain(self, message: JobMessage) -> bool:
        """Whether the message is young, and of event 1: a claim on a wrong guess is refused."""
        due_at, now = message.due_at, self._clock.now()
        return (
            message.sequence == 1
            and message.defaults is not None
            and message.opening_hash is not None
            and message.published_at is not None
            and now - message.published_at < self._fresh
            and not (due_at is not None and due_at > now)
        )

    def assumed(self, message: JobMessage) -> Event:
        """Event 1 as the message tells it; a claim on a wrong assumption is refused."""
        change = Change(
            kind=Status.QUEUED if message.due_at is None else Status.SCHEDULED,
            due_at=message.due_at,
            max_attempts=self._limit(message),
        )
        event = unchained(
            None, JobFacts.of(message.request), change, occurred_at=message.request.created_at
        )
        # Only the hash of the stored row continues the chain; this draft has none of its own.
        return changed(event, hash=message.opening_hash)

    def _limit(self, message: JobMessage) -> int:
        defaults = message.defaults or self._defaults
        return message.request.max_attempts or defaults.max_attempts

    async def write(self, message: JobMessage) -> Event | None:
        """Begin the trail of a job that a foreign publisher put on the queue."""
        now = self._clock.now()
        facts = JobFacts.of(message.request)
        defaults = message.defaults or self._defaults
        change = opening_change(
            message.request, defaults, now=now, by="message", keys=self._keys(message)
        )
        event = draft(None, facts, change, occurred_at=now)
        # Before the row is sent: see `reopen_if_slow`.
        since = self._clock.boottime()
        await self._index.open(open_row(facts, event.after, now))
        if await self._writer.append([event]) is not None:
            return None
        await reopen_if_slow(self._index, self._clock, event, since=since)
        return event
