"""Answers about groups."""

from __future__ import annotations

from pydantic import Field

from jobfleet_contracts.state import State
from jobfleet_dashboard.api.documents import Document, SuccessorDocument, Time
from jobfleet_protocol.actions.group_ending import OnFailure
from jobfleet_protocol.reading.job_actions import JobAction


class PlaceDocument(Document):
    """A member of a group, by its place."""

    index: int
    job_id: str


class MembershipDocument(Document):
    """The group to which a group belongs, and its place there."""

    group_id: str
    index: int


class GroupDocument(Document):
    """A group, and how its members have ended."""

    group_id: str
    name: str
    state: State
    on_failure: OnFailure
    total: int | None = Field(description="`null` until the group is sealed.")
    ended: int
    states: dict[str, int] = Field(description="Ended members by state; `dismissed` is one.")
    bad_count: int = Field(description="Members that neither completed nor were dismissed.")
    bad: list[PlaceDocument] = Field(description="The first 100 of them.")
    cancel_requested: bool
    actions: list[JobAction] = Field(
        description="`cancel` of the group, `redrive` of the members that did not complete."
    )
    created_at: Time
    updated_at: Time
    completed_at: Time | None
    message: str
    follows_job_id: str | None
    successors: list[SuccessorDocument] = Field(description="The jobs that follow it.")
    callback_job_id: str | None
    member_of: MembershipDocument | None


class MemberDocument(Document):
    """A member of a group; `null`s if it is not submitted yet."""

    index: int
    job_id: str
    job_name: str | None
    type: str | None
    state: State | None
    counted: str | None = Field(
        description="The state by which the group counts it, or `dismissed`; `null`: not ended."
    )
    attempt: int
    max_attempts: int
    incarnation: int
    updated_at: Time | None
    message: str


class MemberPage(Document):
    """Members in the order of their places."""

    items: list[MemberDocument]
    next: str | None
