"""On release of a lock key, tell the job that has waited longest for it."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.publication import Publication
from jobfleet_protocol.submission import message_of


class LockSuccessor:
    """Publishes the next job of a lock key, so that it starts at once and not at a poll."""

    def __init__(self, *, backend: Backend, publication: Publication, clock: Clock) -> None:
        self._backend = backend
        self._publication = publication
        self._clock = clock

    async def publish_next(self, lock_key: str, *, ended: str) -> None:
        """Publish the longest waiting job, as the index knows it; a duplicate is harmless."""
        now = self._clock.now()
        for row in await self._backend.reader.lock_waiters(lock_key, limit=5):
            if row.facts.job_id == ended or (row.due_at is not None and row.due_at > now):
                continue
            head = await self._backend.trail.newest(row.facts.job_id)
            opening = await self._backend.trail.read(row.facts.job_id, 1)
            if head is None or opening is None or head.after.state.is_terminal:
                continue
            message = await message_of(opening, head, self._backend.payloads, now)
            await self._publication.attempt(message, head)
            return
