"""Entries of the control log: what operators and schedules decided about the fleet.

Each subject (a schedule, a queue, a type, a limit, an action on many jobs) has an append-only log
of its own. ``action`` has a journal of what people did beside them. ``fleet`` has the protocol
level that was used, and the seal of a fleet that is moved. An entry carries what happened, who did
it, when and why, and the whole state after it. The newest entry is the subject's current state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import InvalidRequest

MAX_NAME = 100
CONTROL_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}")
"""Names are parts of row keys, paths and command lines, so they hold these characters only."""

MAX_ENTRY_BYTES = 32_000
"""JSON of ``state`` and of ``details``, each. Azure's columns hold 32,768 UTF-16 units."""


class ControlSubject(StrEnum):
    """What a log is about."""

    SCHEDULE = "schedule"
    QUEUE = "queue"
    TYPE = "type"
    LIMIT = "limit"
    ACTION = "action"
    FLEET = "fleet"


class ControlKind(StrEnum):
    """What happened."""

    DECLARED = "Declared"
    CHANGED = "Changed"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    FIRED = "Fired"
    SKIPPED = "Skipped"
    TRIGGERED = "Triggered"
    REMOVED = "Removed"
    SET = "Set"
    ASKED = "Asked"
    ENDED = "Ended"
    SEALED = "Sealed"
    UNSEALED = "Unsealed"
    NEWER = "Newer"
    """Stands for each kind that this release does not know; no writer uses it."""
    UNREADABLE = "Unreadable"
    """Kind of what stands in for a row that cannot be read; no writer uses it."""

    @classmethod
    def _missing_(cls, value: object) -> ControlKind:  # noqa: ARG003 - the enum calls it
        # Raised as an error, one newer entry would hide all logs of its subject.
        return cls.NEWER


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlEntry:
    """One row of a subject's log.

    Attributes:
        sequence: 1 for a subject's first entry, one more for each that follows.
        entry_id: made before the first try of an append, so that a writer knows its own row.
        by: who did it: an API key's name, ``code``, ``scheduler``, or the user of a command.
        reason: as the person who did it gave it; may be empty.
        details: what belongs to this entry alone, a tick and its job id for instance; JSON.
        state: the subject's whole state after this entry; JSON.
    """

    subject: ControlSubject
    name: str
    sequence: int
    entry_id: str
    kind: ControlKind
    by: str
    occurred_at: datetime
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def unreadable(
        cls, subject: ControlSubject, name: str, sequence: int, reason: str
    ) -> ControlEntry:
        """Stand in for a row that cannot be read, so that the others of its log are still shown.

        Its state is empty. So a queue or type counts as paused, a limit lets no job start, and a
        fleet counts as sealed. ``audit verify`` reports it with the reason.
        """
        return cls(
            subject=subject,
            name=name,
            sequence=sequence,
            entry_id=f"unreadable/{subject}/{name}/{sequence}",
            kind=ControlKind.UNREADABLE,
            by="",
            occurred_at=datetime.fromtimestamp(0, UTC),
            reason=f"the row cannot be read: {reason}",
        )


def text_in(values: Mapping[str, Any], name: str) -> str | None:
    """Return the text of this name in ``details`` or ``state``, ``None`` for anything else."""
    value = values.get(name)
    return value if isinstance(value, str) else None


def number_in(values: Mapping[str, Any], name: str) -> int | None:
    """Return the whole number of this name in ``details`` or ``state``, as :func:`text_in`."""
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def check_control_name(name: Any, *, what: str) -> str:
    """Return the name.

    Raises:
        InvalidRequest: the name cannot be part of a key; says what is allowed.
    """
    if not isinstance(name, str) or not CONTROL_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{what}: {_cut(str(name))} is not allowed; "
            "use 1 to 100 of A-Z, a-z, 0-9, '_', '.', '-'",
            field=what,
        )
    return name


def _cut(name: str) -> str:
    if len(name) <= MAX_NAME:
        return repr(name)
    return f"{name[:MAX_NAME]!r} … ({len(name):,} characters)"


def check_control_size(entry: ControlEntry) -> None:
    """Check that every backend can store the entry.

    Raises:
        InvalidRequest: state or details have more than 32,000 bytes as JSON.
    """
    for what, value in (("state", entry.state), ("details", entry.details)):
        size = len(encode(dict(value)))
        if size > MAX_ENTRY_BYTES:
            raise InvalidRequest(
                f"{what} of {entry.subject} {entry.name} has {size:,} bytes as JSON; "
                f"at most {MAX_ENTRY_BYTES:,} are allowed",
                field=what,
            )
