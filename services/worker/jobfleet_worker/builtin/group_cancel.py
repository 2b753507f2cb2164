"""``group.cancel``: cancels the members of a group."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobfleet_protocol.actions.group_cancellation import GroupCanceller


class GroupCancel(BaseModel):
    """Whose members to cancel; ``total``: as the group was sealed, ``None`` before."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    group_id: str
    total: int | None = Field(ge=0)


class GroupCancelHandler:
    """Runs ``group.cancel`` jobs; another attempt begins again and cancels nothing twice."""

    def __init__(self, *, canceller: GroupCanceller) -> None:
        self._canceller = canceller

    async def run(self, payload: GroupCancel) -> dict[str, int]:
        """Cancel the members.

        Raises:
            BackendUnavailable: storage does not answer; the next attempt begins again.
        """
        return await self._canceller.cancel_members(payload.group_id, payload.total)
