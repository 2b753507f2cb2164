"""A group and its members, as API, pages and command line show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.event import Event
from jobfleet_protocol.actions.group_counts import Count, member_id
from jobfleet_protocol.actions.group_ending import OnFailure
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.reading.job_record import JobRecord

SHOWN_BAD = 100
"""Members that did not complete, as one answer names them."""


def held_text(bad: int) -> str:
    """Say which members keep a group open."""
    them = "it" if bad == 1 else "them"
    return f"{held_mark(bad)} that did not complete: redrive or dismiss {them}"


def held_mark(bad: int) -> str:
    """Say by how many members a group is kept open."""
    return f"held by {bad:,} member{'' if bad == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """Where a group stands; all of it is masked.

    Attributes:
        job: the job that waits for the members.
        on_failure: what it was opened with.
        total: number of its members; ``None``: not sealed yet.
        count: how many members have ended; ``dismissed`` is one of the states.
        bad: places of members that neither completed nor were dismissed, the first ones.
    """

    job: JobRecord
    on_failure: OnFailure
    total: int | None
    count: Count
    bad: Sequence[int]

    @property
    def group_id(self) -> str:
        """The group's id."""
        return self.job.newest.job_id

    @property
    def is_cancelling(self) -> bool:
        """Whether a cancel was requested that has not ended the group yet."""
        return self.job.newest.after.cancel_requested

    @property
    def actions(self) -> tuple[JobAction, ...]:
        """What it allows: its own cancel, and the redrive of members that did not complete."""
        is_open = not self.job.newest.after.state.is_terminal
        cancel = (JobAction.CANCEL,) if is_open and not self.is_cancelling else ()
        return (*cancel, JobAction.REDRIVE) if self.count.bad else cancel

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``GET /api/groups/{groupId}``."""
        facts, newest = self.job.newest.facts, self.job.newest
        belongs = self.job.group
        return {
            "groupId": self.group_id,
            "name": facts.job_name,
            "state": newest.after.state.value,
            "onFailure": self.on_failure,
            "total": self.total,
            "ended": self.count.members,
            "states": dict(sorted(self.count.states.items())),
            "badCount": self.count.bad,
            "bad": [{"index": i, "jobId": member_id(self.group_id, i)} for i in self.bad],
            "cancelRequested": self.is_cancelling,
            "actions": [action.value for action in self.actions],
            "createdAt": format_time(facts.created_at),
            "updatedAt": format_time(newest.occurred_at),
            "completedAt": format_optional_time(self.job.completed_at),
            "message": newest.message,
            "followsJobId": self.job.follows,
            "successors": [each.to_json() for each in self.job.successors],
            "callbackJobId": self.job.callback_job_id,
            "memberOf": None if belongs is None else {"groupId": belongs[0], "index": belongs[1]},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """One member of a group.

    Attributes:
        newest: its last event, masked; ``None``: it is not submitted yet.
        counted: the state by which the group counts it; ``None``: it has not ended.
    """

    index: int
    job_id: str
    newest: Event | None
    counted: str | None

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``GET /api/groups/{groupId}/members``."""
        newest = self.newest
        return {
            "index": self.index,
            "jobId": self.job_id,
            "jobName": newest and newest.facts.job_name,
            "type": newest and newest.facts.job_type,
            "state": newest and newest.after.state.value,
            "counted": self.counted,
            "attempt": newest.after.attempt if newest else 0,
            "maxAttempts": newest.after.max_attempts if newest else 0,
            "incarnation": newest.after.incarnation if newest else 1,
            "updatedAt": None if newest is None else format_time(newest.occurred_at),
            "message": newest.message if newest else "not submitted yet",
        }
