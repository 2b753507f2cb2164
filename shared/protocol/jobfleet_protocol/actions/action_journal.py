"""The journal of what people did to the fleet: one log, newest entry first where it is read.

Its newest state lists the actions on many jobs that have not ended, so that one read tells every
dashboard what is left to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control.control_writer import (
    ControlDraft,
    ControlWriter,
    newest_readable,
)

JOURNAL = "journal"
_PROGRAMS = frozenset({"code", "scheduler", "rescuer"})
_FIRINGS = frozenset({ControlKind.FIRED, ControlKind.SKIPPED})
MOST_OPEN = 100
"""Actions on many jobs that may be under way at once."""


class ActionJournal:
    """Appends to the journal and reads it."""

    def __init__(self, *, log: ControlLog, clock: Clock) -> None:
        self._control_log = log
        self._writer = ControlWriter(log=log, clock=clock, passes_unreadable=True)

    async def open(
        self, action_id: str, *, by: str, reason: str, details: Mapping[str, Any]
    ) -> None:
        """Note that an action on many jobs was accepted; from now on it will be run.

        Raises:
            ActionRefused: too many are under way; try again when one has ended.
        """

        def decide(newest: ControlEntry | None) -> ControlDraft:
            opened = _open(newest)
            if len(opened) >= MOST_OPEN:
                raise ActionRefused(f"{MOST_OPEN} actions on many jobs are under way; ask later")
            return ControlDraft(
                kind=ControlKind.ASKED,
                by=by,
                reason=reason,
                details={"actionId": action_id, **details},
                state={"open": [*opened, action_id]},
            )

        await self._writer.append(ControlSubject.ACTION, JOURNAL, decide)

    async def close(self, action_id: str, *, by: str, details: Mapping[str, Any]) -> None:
        """Note that an action has ended. Do nothing if that stands already."""

        def decide(newest: ControlEntry | None) -> ControlDraft | None:
            opened = _open(newest)
            if action_id not in opened:
                return None
            return ControlDraft(
                kind=ControlKind.ENDED,
                by=by,
                details={"actionId": action_id, **details},
                state={"open": [each for each in opened if each != action_id]},
            )

        await self._writer.append(ControlSubject.ACTION, JOURNAL, decide)

    async def note(
        self, kind: ControlKind, *, by: str, reason: str = "", details: Mapping[str, Any]
    ) -> None:
        """Note what an operator did at once, a pause for instance."""

        def decide(newest: ControlEntry | None) -> ControlDraft:
            state = {"open": _open(newest)}
            return ControlDraft(kind=kind, by=by, reason=reason, details=details, state=state)

        await self._writer.append(ControlSubject.ACTION, JOURNAL, decide)

    async def note_entry(self, entry: ControlEntry) -> None:
        """Note an entry of another log, if a person appended it."""
        if entry.by in _PROGRAMS or entry.kind in _FIRINGS:
            return
        details = {"subject": entry.subject, "name": entry.name}
        if (job_id := entry.details.get("jobId")) is not None:
            details["jobId"] = str(job_id)
        await self.note(entry.kind, by=entry.by, reason=entry.reason, details=details)

    async def opened(self) -> Sequence[str]:
        """Return the ids of actions that have not ended, the oldest first; one read."""
        return _open(await newest_readable(self._control_log, ControlSubject.ACTION, JOURNAL))

    async def entries(
        self, *, before: int | None = None, limit: int = 50
    ) -> Sequence[ControlEntry]:
        """Return what people did, newest first."""
        return await self._control_log.history(
            ControlSubject.ACTION, JOURNAL, before=before, limit=limit
        )


def _open(newest: ControlEntry | None) -> list[str]:
    opened = [] if newest is None else newest.state.get("open", [])
    return [each for each in opened if isinstance(each, str)]
