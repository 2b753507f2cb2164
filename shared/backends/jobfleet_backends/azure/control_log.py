"""The control log in a table: a partition per subject, rows inserted and never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from jobfleet_backends.azure.http.azure_errors import StorageRefused
from jobfleet_backends.azure.http.entity_table import EntityTable
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.rows import plain_time
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.field_checks import checked_time, json_object

_LAST = 9_999_999_999
_HEADS_PAGE = 50
"""Rows of one request when heads are listed: a few names' newest entries, or one name's."""
_WHERE = "PartitionKey eq @subject and RowKey gt @after and RowKey lt @end"


class AzureControlLog:
    """Row keys are ``<name>~<9999999999 - sequence>``, so a name's newest entry comes first.

    No name holds ``~``, and every allowed character sorts before it.
    """

    def __init__(self, *, table: EntityTable) -> None:
        self._table = table

    async def insert(self, entry: ControlEntry) -> None:
        """Insert one row, without any resending: a refusal may be about one's own row."""
        try:
            await self._table.insert("control.insert", _to_entity(entry))
        except StorageRefused as refusal:
            if not refusal.is_conflict:
                raise
            raise SequenceTaken(
                f"{entry.subject} {entry.name} has entry {entry.sequence}"
            ) from refusal

    async def read(self, subject: ControlSubject, name: str, sequence: int) -> ControlEntry | None:
        """Return one row by its key."""
        entity = await self._table.get("control.read", subject, _row_key(name, sequence))
        return None if entity is None else _to_entry(entity)

    async def newest(self, subject: ControlSubject, name: str) -> ControlEntry | None:
        """Return the first row of the name."""
        entries = await self.history(subject, name, limit=1)
        return entries[0] if entries else None

    async def heads(self, subject: ControlSubject) -> Sequence[ControlEntry]:
        """Return the first row of every name, jumping over the rows behind it."""
        found: list[ControlEntry] = []
        after = ""
        while True:
            query = Query(
                "PartitionKey eq @subject and RowKey gt @after",
                {"subject": str(subject), "after": after},
            )
            rows = await self._table.first("control.heads", query, _HEADS_PAGE)
            for row in rows:
                if not found or found[-1].name != _name_of(row):
                    found.append(_to_entry(row))
            if len(rows) < _HEADS_PAGE:
                return found
            # A forged key may sort behind its name: the next look must not find it again.
            after = max(_behind(found[-1].name), rows[-1]["RowKey"])

    async def history(
        self,
        subject: ControlSubject,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[ControlEntry]:
        """Return rows of one name, newest first."""
        after = f"{name}~" if before is None else _row_key(name, before)
        values = {"subject": str(subject), "after": after, "end": _behind(name)}
        rows = await self._table.first("control.history", Query(_WHERE, values), limit)
        return [_to_entry(row) for row in rows]

    async def scan(self) -> AsyncIterator[Sequence[ControlEntry]]:
        """Yield each log whole."""
        for subject in ControlSubject:
            for head in await self.heads(subject):
                log = await self.history(subject, head.name, limit=max(1, head.sequence))
                yield log[::-1] or [head]


def _row_key(name: str, sequence: int) -> str:
    return f"{name}~{_LAST - sequence:010d}"


def _name_of(row: Mapping[str, Any]) -> str:
    key: str = row["RowKey"]
    return key.rpartition("~")[0] or key


def _sequence_of(row: Mapping[str, Any]) -> int:
    """Return the sequence that the key names, 0 if it names none."""
    digits = row["RowKey"].rpartition("~")[2]
    return _LAST - int(digits) if digits.isdecimal() else 0


def _behind(name: str) -> str:
    """Return a key behind all rows of the name: ``:`` follows ``9``."""
    return f"{name}~:"


def _to_entity(entry: ControlEntry) -> dict[str, Any]:
    return {
        "PartitionKey": str(entry.subject),
        "RowKey": _row_key(entry.name, entry.sequence),
        "Sequence": entry.sequence,
        "EntryId": entry.entry_id,
        "Kind": str(entry.kind),
        "By": entry.by,
        "OccurredAt": entry.occurred_at,
        "Reason": entry.reason,
        "Details": encode_text(dict(entry.details)),
        "State": encode_text(dict(entry.state)),
    }


def _to_entry(row: Mapping[str, Any]) -> ControlEntry:
    """Return the entry of a row, or a stand-in if it cannot be read."""
    subject, name = ControlSubject(row["PartitionKey"]), _name_of(row)
    sequence = _sequence_of(row)
    try:
        if row["Sequence"] != sequence:
            raise ValueError(f"Sequence is {row['Sequence']!r}")
        return ControlEntry(
            subject=subject,
            name=name,
            sequence=sequence,
            entry_id=_text(row, "EntryId"),
            kind=ControlKind(_text(row, "Kind")),
            by=_text(row, "By"),
            occurred_at=checked_time(plain_time(row["OccurredAt"])),
            reason=_text(row, "Reason"),
            details=json_object(_text(row, "Details"), "Details"),
            state=json_object(_text(row, "State"), "State"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        return ControlEntry.unreadable(subject, name, sequence, reason)


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if not isinstance(value, str):
        raise TypeError(f"{column} is {value!r}")
    return value
