"""The journal of what people did, as pages and API show it: newest first, with how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlEntry, ControlKind
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.errors import NotFound
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.bulk_action import BulkAction, BulkActions

PAGE_SIZE = 50
_CURSOR = CursorForm("([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One thing that somebody did.

    Attributes:
        action: the action on many jobs that it began, as it stands now.
    """

    entry: ControlEntry
    action: BulkAction | None

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``GET /api/actions``."""
        details = self.entry.details
        return {
            "sequence": self.entry.sequence,
            "at": format_time(self.entry.occurred_at),
            "kind": self.entry.kind,
            "by": self.entry.by,
            "reason": masked_text(self.entry.reason),
            "subject": details.get("subject"),
            "name": details.get("name"),
            "action": None if self.action is None else self.action.to_json(),
        }


async def read_journal(
    journal: ActionJournal, actions: BulkActions, *, cursor: str | None = None
) -> tuple[Sequence[JournalEntry], str | None]:
    """Return a page and the cursor of the next; ends of actions stand at their beginnings.

    Raises:
        InvalidRequest: the cursor is none of this list's.
    """
    before = None if cursor is None else int(_CURSOR.parts(cursor)[0])
    entries = await journal.entries(before=before, limit=PAGE_SIZE)
    shown = [entry for entry in entries if entry.kind is not ControlKind.ENDED]

    async def one(entry: ControlEntry) -> JournalEntry:
        action_id = entry.details.get("actionId")
        if not isinstance(action_id, str):
            return JournalEntry(entry, None)
        try:
            return JournalEntry(entry, await actions.find(action_id))
        except (NotFound, ValueError, KeyError, TypeError):  # somebody has edited its log
            return JournalEntry(entry, None)

    found = await asyncio.gather(*map(one, shown))
    more = len(entries) == PAGE_SIZE and entries[-1].sequence > 1
    return found, str(entries[-1].sequence) if more else None
