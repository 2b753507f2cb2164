"""The journal of what people did, as pages and API show it: newest first, with how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlEntry, ControlKind, text_in
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.errors import NotFound
from jobfleet_contracts.index import Page
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.bulk_action import BulkAction, BulkActions

PAGE_SIZE = 50
MAX_LOOKS = 20
CLOCKS_DIFFER = timedelta(hours=1)
_CURSOR = CursorForm("([0-9]{1,10})")


class Verb(StrEnum):
    """What people do."""

    CANCEL = "cancel"
    REDRIVE = "redrive"
    DISMISS = "dismiss"
    ERASE = "erase"
    PAUSE = "pause"
    RESUME = "resume"
    CHANGE = "change"
    RUN = "run"
    REMOVE = "remove"


_VERBS = {
    ControlKind.PAUSED: Verb.PAUSE,
    ControlKind.RESUMED: Verb.RESUME,
    ControlKind.DECLARED: Verb.CHANGE,
    ControlKind.CHANGED: Verb.CHANGE,
    ControlKind.SET: Verb.CHANGE,
    ControlKind.TRIGGERED: Verb.RUN,
    ControlKind.REMOVED: Verb.REMOVE,
}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One thing that an operator did.

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
            "subject": text_in(details, "subject"),
            "name": text_in(details, "name"),
            "jobId": text_in(details, "jobId"),
            "action": None if self.action is None else self.action.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFilter:
    """What people did: by whom, what and when; the same for the fleet and for single jobs.

    Attributes:
        by: a part of the name, in any case.
        since: inclusive; ``until`` exclusive.
    """

    by: str = ""
    verb: Verb | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, entry: ControlEntry) -> bool:
        """Whether an entry belongs to what is looked for; ends stand at their beginnings."""
        return (
            entry.kind is not ControlKind.ENDED
            and self.is_by(entry.by)
            and self.verb in (None, verb_of(entry))
            and (self.since is None or entry.occurred_at >= self.since)
            and (self.until is None or entry.occurred_at < self.until)
        )

    def is_by(self, name: str) -> bool:
        """Whether an operator of this name is meant."""
        return self.by.casefold() in name.casefold()


EVERYTHING = ActionFilter()


def verb_of(entry: ControlEntry) -> Verb | None:
    """Return what an operator did; ``None`` for kinds that a newer release wrote."""
    if entry.kind is ControlKind.CHANGED and "jobId" in entry.details:
        return Verb.RUN  # one job, though its queue or type is paused
    if entry.kind is not ControlKind.ASKED:
        return _VERBS.get(entry.kind)
    try:
        return Verb(entry.details.get("action", ""))
    except ValueError:  # the log was edited by hand
        return None


async def read_journal(
    journal: ActionJournal,
    actions: BulkActions,
    *,
    wanted: ActionFilter = EVERYTHING,
    cursor: str | None = None,
) -> Page[JournalEntry]:
    """Return a page of what people did to the fleet, newest first.

    Some 1,000 entries are looked at; then the page says how far back it has looked.

    Raises:
        InvalidRequest: this list did not return the cursor.
    """
    before = None if cursor is None else int(_CURSOR.parts(cursor)[0])
    kept: list[ControlEntry] = []
    for _ in range(MAX_LOOKS):
        entries = await journal.entries(before=before, limit=PAGE_SIZE)
        for entry in entries:
            before = entry.sequence
            kept += [entry] if wanted.fits(entry) else []
            if len(kept) == PAGE_SIZE:
                return Page(await _shown(kept, actions), str(before) if before > 1 else None)
        if len(entries) < PAGE_SIZE or _is_past(entries[-1], wanted):
            return Page(await _shown(kept, actions))
    return Page(await _shown(kept, actions), str(before), entries[-1].occurred_at)


def _is_past(entry: ControlEntry, wanted: ActionFilter) -> bool:
    """Whether older entries cannot fit; writers' clocks may differ."""
    return wanted.since is not None and entry.occurred_at < wanted.since - CLOCKS_DIFFER


async def _shown(kept: Sequence[ControlEntry], actions: BulkActions) -> Sequence[JournalEntry]:
    async def one(entry: ControlEntry) -> JournalEntry:
        action_id = entry.details.get("actionId")
        if not isinstance(action_id, str):
            return JournalEntry(entry, None)
        try:
            return JournalEntry(entry, await actions.find(action_id))
        except (NotFound, ValueError, KeyError, TypeError):  # its log was edited by hand
            return JournalEntry(entry, None)

    return await asyncio.gather(*map(one, kept))
