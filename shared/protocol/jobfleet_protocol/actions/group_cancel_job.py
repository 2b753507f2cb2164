"""The job that cancels the members of a group: its id and its request."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_CANCEL_TYPE, internal_job_id

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

_ATTEMPTS = 30
_SECONDS = 3600.0


def group_cancel_id(group_id: str, total: int | None) -> str:
    """Return the id of the job that cancels the members; ``total``: as sealed, ``None``: not yet.

    A group whose cancel is asked for before its seal gets two: the first one cannot know which
    members are still being submitted.
    """
    return internal_job_id("group-cancel", group_id, "open" if total is None else str(total))


def group_cancel_request(
    group: Event, total: int | None, *, queue: str, asked_at: datetime
) -> JobRequest:
    """Return that job.

    Args:
        queue: of its members, whose workers are sure to be there.
        asked_at: when the cancel was asked for; the same for all who submit the job.
    """
    from jobfleet_contracts.job import JobRequest

    return JobRequest(
        job_id=group_cancel_id(group.job_id, total),
        type=GROUP_CANCEL_TYPE,
        job_name=f"cancel of {group.facts.job_name}"[:200],
        payload={"groupId": group.job_id, "total": total},
        queue=queue,
        max_attempts=_ATTEMPTS,
        timeout_seconds=_SECONDS,
        created_at=asked_at,
    )
