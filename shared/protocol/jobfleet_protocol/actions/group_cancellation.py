"""Cancels the members of a group, as the job of :mod:`group_cancel_job` does."""

from __future__ import annotations

import asyncio
import contextlib

from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.ports import AuditTrail
from jobfleet_protocol.actions.cancellation import Canceller
from jobfleet_protocol.actions.group_counts import MOST_MEMBERS, blocks_of, member_id, places_of

AT_ONCE = 16


class GroupCanceller:
    """Cancels the members of a group."""

    def __init__(self, *, trail: AuditTrail, canceller: Canceller) -> None:
        self._trail = trail
        self._canceller = canceller

    async def cancel_members(self, group_id: str, total: int | None) -> dict[str, int]:
        """Cancel all members that have not ended, a few at once.

        Args:
            total: how many members the group was sealed with; ``None``: it is not sealed.

        Returns:
            ``{"cancelled": n}``: how many had not ended.

        Raises:
            BackendUnavailable: storage does not answer; begin again, nothing is done twice.
            FleetSealed: the fleet is sealed.
        """
        cancelled = 0
        for block in blocks_of(MOST_MEMBERS if total is None else total):
            places = places_of(block, total)
            there = 0
            for first in range(places.start, places.stop, AT_ONCE):
                some = range(first, min(first + AT_ONCE, places.stop))
                found = await asyncio.gather(*(self._cancel(group_id, index) for index in some))
                there += sum(one is not None for one in found)
                cancelled += sum(one is True for one in found)
            if total is None and not there:
                break
        return {"cancelled": cancelled}

    async def _cancel(self, group_id: str, index: int) -> bool | None:
        """Cancel one member; ``None``: there is none, ``False``: it had ended."""
        job_id = member_id(group_id, index)
        head = await self._trail.newest(job_id)
        if head is None:
            return None
        if head.after.state.is_terminal:
            return False
        return await self.cancel_member(group_id, job_id)

    async def cancel_member(self, group_id: str, job_id: str) -> bool:
        """Cancel a member of a group whose cancel was asked for; ``False``: it has ended."""
        with contextlib.suppress(ActionRefused):
            reason = "its group was cancelled"
            await self._canceller.cancel(job_id, by=f"group {group_id}", reason=reason)
            return True
        return False
