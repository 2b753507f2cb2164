"""The job that cancels the members of a group: its id and its request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_CANCEL_TYPE, internal_job_id

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

_ATTEMPTS = 30
_SECONDS = 3600.0


AGAIN_SECONDS = 60.0
"""A group that is still open so long after its cancel has its members cancelled again; then after
twice as long, and so on. A caller may have died behind the insert of a member."""


def group_cancel_id(group_id: str, total: int | None, *, again: int = 0) -> str:
    """Return the id of the job that cancels the members.

    A group whose cancel is asked for before its seal gets two: the first one cannot know which
    members are still being submitted.

    Args:
        total: as sealed, ``None``: not yet.
        again: how many came before it for the same total.
    """
    parts = ["open" if total is None else str(total), *([str(again)] if again else [])]
    return internal_job_id("group-cancel", group_id, *parts)


def group_cancel_request(
    group: Event, total: int | None, *, queue: str, asked_at: datetime, now: datetime
) -> JobRequest:
    """Return the job that is due at ``now``; who submits it does not matter.

    Args:
        queue: its members' queue, where workers are sure to be.
        asked_at: when the cancel was asked for.
    """
    from jobfleet_contracts.job import JobRequest

    again, began = 0, asked_at
    while (due := asked_at + timedelta(seconds=AGAIN_SECONDS * 2**again)) <= now:
        again, began = again + 1, due
    return JobRequest(
        job_id=group_cancel_id(group.job_id, total, again=again),
        type=GROUP_CANCEL_TYPE,
        job_name=f"cancel of {group.facts.job_name}"[:200],
        payload={"groupId": group.job_id, "total": total},
        queue=queue,
        max_attempts=_ATTEMPTS,
        timeout_seconds=_SECONDS,
        created_at=began,
    )
