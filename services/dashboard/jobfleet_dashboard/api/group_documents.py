"""Answers about groups."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobfleet_contracts.state import State
from jobfleet_dashboard.api.documents import Document


class MemberDocument(Document):
    """A member of a group."""

    index: int
    job_id: str


class GroupDocument(Document):
    """A group, and how its members have ended."""

    group_id: str
    name: str
    state: State
    on_failure: Literal["continue", "hold"]
    total: int | None = Field(description="`null` until the group is sealed.")
    ended: int
    states: dict[str, int] = Field(description="Ended members by state; `dismissed` is one.")
    bad: list[MemberDocument] = Field(
        description="The first 100 members that neither completed nor were dismissed."
    )
