"""Answers about named limits."""

from __future__ import annotations

from pydantic import Field

from jobfleet_contracts.control import ControlKind
from jobfleet_dashboard.api.documents import Document, Time


class SlotHolderDocument(Document):
    """A job that holds a slot of a limit."""

    slot: int
    job_id: str
    job_name: str


class LimitDocument(Document):
    """A named limit; ``slots`` or ``rate`` is ``null`` if it does not limit that."""

    name: str
    slots: int | None = Field(description="How many jobs that name it may run at once.")
    rate: str | None = Field(description="How many may start in a period, as `10/second`.")
    burst: int | None = Field(description="How many may start at once after a quiet time.")
    set_by: str
    set_at: Time
    reason: str
    used: int = Field(
        description="Slots that are leased now; may exceed `slots` after that was lowered."
    )
    holders: list[SlotHolderDocument]


class LimitList(Document):
    """All limits that are set, by name."""

    items: list[LimitDocument]


class LimitEntry(Document):
    """One entry of a limit's log."""

    sequence: int
    kind: ControlKind
    by: str
    reason: str
    timestamp: Time
    slots: int | None
    rate: str | None
    burst: int | None


class LimitHistory(Document):
    """Entries, newest first; ``next`` is the cursor of the page after it."""

    items: list[LimitEntry]
    next: str | None


class LimitAnswer(Document):
    """What became of a limit."""

    name: str
    message: str
