"""What an entry of a schedule's log changed in its declaration, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.control import ControlEntry
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.cut_text import cut_text

MAX_VALUE = 200
"""Characters of a value that are shown: a payload has thousands."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field; ``None`` if it was not said. Values are masked, those of no text as JSON."""

    field: str
    old: str | None
    new: str | None

    @property
    def text(self) -> str:
        """Say it in a line."""
        return f"{self.field}: {self.old or '-'} → {self.new or '-'}"

    def to_json(self) -> dict[str, Any]:
        """Return what a history shows."""
        return {"field": self.field, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry and the one before it, ``None`` if that is not known."""

    entry: ControlEntry
    before: ControlEntry | None

    def changes(self) -> list[FieldChange]:
        """Return what it changed; masking long values takes its time."""
        return [] if self.before is None else _changes_between(self.before, self.entry)


def logged_entries(entries: Sequence[ControlEntry], most: int) -> list[LoggedEntry]:
    """Return up to ``most`` entries, each with the one before it.

    Args:
        entries: newest first, and one more than are returned: the last one's changes need it.
    """
    following = [*entries[1:], None]
    return [LoggedEntry(*pair) for pair in zip(entries, following, strict=True)][:most]


def _changes_between(before: ControlEntry, entry: ControlEntry) -> list[FieldChange]:
    """Return the fields of the declaration in which two entries differ, by name."""
    old, new = _declaration(before), _declaration(entry)
    return [
        FieldChange(field, _shown(old.get(field)), _shown(new.get(field)))
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]


def _declaration(entry: ControlEntry) -> Mapping[str, Any]:
    found = entry.state.get("definition")
    return found if isinstance(found, Mapping) else {}


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    return cut_text(masked_text(value if isinstance(value, str) else encode_text(value)), MAX_VALUE)
