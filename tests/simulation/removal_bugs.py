"""Deliberate bugs in the removal of histories."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent
from jobfleet_protocol.trail.tombstone import tombstone_of
from jobfleet_worker.upkeep.retention import Retention


def removed_without_a_seal() -> AbstractContextManager[Any]:
    """The retention takes a history out while a redrive may still follow it."""

    async def remove(self: Retention, found: IndexedEvent, head: Event) -> None:
        ending, opening = await self._ending(head), await self._trail.read(head.job_id, 1)
        if ending is None or opening is None:
            return
        stone = tombstone_of(ending, head, digest=await self._digest(opening), message="")
        await self._unlist_before(head.job_id, head.sequence)
        await self._store.forget(stone, last=head.sequence)
        await self._finish(head.job_id, [found])

    return patch.object(Retention, "_seal", remove)


def removed_right_after_its_seal() -> AbstractContextManager[Any]:
    """The retention does not wait for a second copy of its seal."""
    return patch("jobfleet_worker.upkeep.retention.SEALED_AT_MOST", 0.0)
