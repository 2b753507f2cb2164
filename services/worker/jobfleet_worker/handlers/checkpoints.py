"""Finding what an earlier attempt kept."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_protocol.trail.large_data import resolve


async def last_checkpoint(head: Event, *, trail: AuditTrail, payloads: PayloadStore) -> Any:
    """Return the newest checkpoint of this incarnation, ``None`` if there is none.

    Reads nothing for a job's first claim; else pages of 1,000 events, newest first.
    """
    if head.after.epoch <= 1:
        return None
    before = head.sequence
    while before > 1:
        page = await trail.history(head.job_id, before=before, limit=1000)
        for event in reversed(page):
            if event.after.incarnation < head.after.incarnation:
                return None
            if event.is_step:
                data = (await resolve(event, payloads)).data
                if "checkpoint" in data:
                    return data["checkpoint"]
        before = page[0].sequence if page else 0
    return None
