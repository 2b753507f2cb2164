"""Named limits as API, pages and command line show them: what is set, and which jobs hold slots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlEntry, number_in, text_in
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import LockMissing
from jobfleet_contracts.lease import LIMIT_LOCKS, limit_of, limit_prefix, slot_of
from jobfleet_contracts.ports import AuditTrail, LockRecords
from jobfleet_contracts.state import State
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.limits import Limits

MAX_HOLDERS = 100
"""Slots whose jobs one answer looks up, over all limits: each costs two requests on Azure."""


@dataclass(frozen=True, slots=True)
class SlotHolder:
    """A job that holds a slot."""

    slot: int
    job_id: str
    job_name: str

    def to_json(self) -> dict[str, Any]:
        """Return what lists show."""
        return {"slot": self.slot, "jobId": self.job_id, "jobName": self.job_name}


@dataclass(frozen=True, slots=True)
class LimitRecord:
    """One limit.

    Attributes:
        used: slots that are leased now; more than it has for a while after it was lowered.
        holders: the first jobs that hold them, by slot; a claim that is being made is none yet.
    """

    limit: Limit
    used: int
    holders: Sequence[SlotHolder] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what lists show."""
        holders = [holder.to_json() for holder in self.holders]
        return {**self.limit.to_json(), "used": self.used, "holders": holders}


def entry_json(entry: ControlEntry) -> dict[str, Any]:
    """Return one entry in the shape of ``GET /api/limits/{name}/history``."""
    state, rate = entry.state, text_in(entry.state, "rate")
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "by": entry.by,
        "reason": masked_text(entry.reason),
        "timestamp": format_time(entry.occurred_at),
        "slots": number_in(state, "slots"),
        "rate": rate,
        "burst": number_in(state, "burst") if rate else None,
    }


class LimitReader:
    """Reads limits from the control log, and their slots from the locks."""

    def __init__(self, *, limits: Limits, locks: LockRecords, trail: AuditTrail) -> None:
        self._limits = limits
        self._locks = locks
        self._trail = trail

    async def all(self, *, holders: int = MAX_HOLDERS) -> Sequence[LimitRecord]:
        """Return all limits that are set, by name, with their holders.

        Args:
            holders: how many to return for one limit at most; for all limits together 100 at most.

        Raises:
            BackendError: log, locks or trail cannot be read.
        """
        limits, leased = await asyncio.gather(self._limits.read(), self._locks.leased(LIMIT_LOCKS))
        records: list[LimitRecord] = []
        left = MAX_HOLDERS
        for name, limit in sorted(limits.items()):
            if not limit.removed:
                slots = [lock for lock in leased if limit_of(lock) == name]
                most = min(left, holders)
                records.append(await self._record(limit, slots, most))
                left -= min(most, len(slots))
        return records

    async def one(self, name: str) -> LimitRecord:
        """Return one limit.

        Raises:
            UnknownLimit: it was never set, or was removed.
        """
        limit = await self._limits.get(name)
        leased = await self._locks.leased(limit_prefix(name))
        return await self._record(limit, list(leased), MAX_HOLDERS)

    async def _record(self, limit: Limit, leased: Sequence[str], most: int) -> LimitRecord:
        ordered = sorted(leased, key=lambda lock: slot_of(lock) or 0)
        found = await asyncio.gather(*(self._holder(lock) for lock in ordered[:most]))
        return LimitRecord(limit, len(leased), [each for each in found if each is not None])

    async def _holder(self, lock: str) -> SlotHolder | None:
        """Return the job whose run holds the slot, as note and trail say."""
        try:
            job_id = (await self._locks.read_note(lock)).get("job")
        except LockMissing:
            return None
        head = None if job_id is None else await self._trail.newest(job_id)
        if head is None or head.after.state is not State.RUNNING:
            return None
        holds = any(held.lock == lock for held in head.after.locks)
        return SlotHolder(slot_of(lock) or 0, head.job_id, head.facts.job_name) if holds else None
