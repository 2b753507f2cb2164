"""Makes what an action on many jobs does to one of them happen once, however often it is tried.

Each event that the action causes carries its id. A caller that tries again looks for that id among
the events since before the first try. An insert in between takes the sequence, and the caller sees
it in turn. So the trail decides, and two runners at once do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import AuditTrail

ACTION_ID = "actionId"
PAGE = 500


@dataclass(frozen=True, slots=True)
class ActionMark:
    """An action, and where one job's trail ended before the action's first try.

    Attributes:
        after: sequence of the job's newest event then; the action's event has a higher one.
    """

    action_id: str
    after: int

    async def find(self, trail: AuditTrail, head: Event) -> Event | None:
        """Return the event that the action has caused, ``None`` if there is none up to ``head``."""
        after = self.after
        while after < head.sequence:
            page = await trail.history(head.job_id, after=after, limit=PAGE)
            for event in page:
                if event.data.get(ACTION_ID) == self.action_id:
                    return event
            if not page:
                return None
            after = page[-1].sequence
        return None


def data_of(by: str | None, reason: str, mark: ActionMark | None) -> dict[str, Any]:
    """Return the data of an event that a caller asked for."""
    data: dict[str, Any] = {"by": by}
    if reason:
        data["reason"] = reason
    return data if mark is None else data | {ACTION_ID: mark.action_id}
