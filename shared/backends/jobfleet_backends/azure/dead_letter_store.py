"""Malformed messages: a row for the dashboard, and the whole message in the broker's queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from jobfleet_backends.azure.http.entity_table import REPLACE, EntityTable
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.rows import plain_time
from jobfleet_contracts.codec import encodable
from jobfleet_contracts.cursor import JOB_ID, CursorForm
from jobfleet_contracts.cut_text import beginning_of
from jobfleet_contracts.index import DeadLetter, Page
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage

MAX_BODY_UNITS = 32_000
"""UTF-16 units of one string column; 32,768 are allowed."""

_PARTITION = "letters"
_CURSOR = CursorForm(f"([0-9]{{15}}-{JOB_ID})")
_MILLISECONDS = 0xFFFF_FFFF_FFFF


class DeadLetterQueue(Protocol):
    """The broker's half."""

    async def add(self, letter: MalformedMessage) -> None:
        """Keep the message whole; durable when this returns."""
        ...


class AzureDeadLetterStore:
    """Row keys begin with the inverted time within the letter's id, so the newest comes first."""

    def __init__(self, *, table: EntityTable, queue: DeadLetterQueue) -> None:
        self._table = table
        self._queue = queue

    async def add(self, letter: MalformedMessage, received_at: datetime) -> None:
        """Keep the row first, then the message: what is missing of the two shows on the screen."""
        letter_id = new_id()
        entity = {
            "PartitionKey": _PARTITION,
            "RowKey": _row_key(letter_id),
            "ReceivedAt": received_at,
            "Reason": _cut(encodable(letter.reason)),
            "Body": _cut(letter.body.decode(errors="replace")),
            "Size": len(letter.body),
        }
        if letter.message_id is not None:
            entity["MessageId"] = _cut(encodable(letter.message_id))
        await self._table.upsert("letter.add", entity, REPLACE)
        await self._queue.add(letter)

    async def letters(self, *, cursor: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return malformed messages, newest first; the cursor is a row key."""
        where, values = "PartitionKey eq @partition", {"partition": _PARTITION}
        if cursor is not None:
            where += " and RowKey gt @cursor"
            values["cursor"] = _CURSOR.parts(cursor)[0]
        rows = await self._table.first("letter.list", Query(where, values), limit + 1)
        following = rows[limit - 1]["RowKey"] if len(rows) > limit else None
        return Page([_letter(entity) for entity in rows[:limit]], following)

    async def remove(self, letter_id: str) -> None:
        """Forget the row; the broker's queue keeps its copy."""
        try:
            row = _row_key(letter_id)
        except ValueError:
            return
        await self._table.delete("letter.remove", _PARTITION, row)


def _row_key(letter_id: str) -> str:
    known = UUID(letter_id)
    return f"{_MILLISECONDS - (known.int >> 80):015d}-{known}"


def _letter(entity: Mapping[str, Any]) -> DeadLetter:
    letter_id = str(entity["RowKey"]).partition("-")[2]
    try:
        return DeadLetter(
            letter_id=letter_id,
            received_at=plain_time(entity["ReceivedAt"]),
            reason=str(entity["Reason"]),
            body=str(entity.get("Body", "")),
            size=int(entity.get("Size", 0)),
            message_id=entity.get("MessageId"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return DeadLetter.unreadable(letter_id, f"{type(error).__name__}: {error}")


def _cut(text: str) -> str:
    """Return what fits into a column; half of a pair of surrogates at its end is dropped."""
    units = text.encode("utf-16-le")
    if len(units) > MAX_BODY_UNITS * 2:
        units = beginning_of(text, MAX_BODY_UNITS).encode("utf-16-le")
    return units[: MAX_BODY_UNITS * 2].decode("utf-16-le", errors="ignore")
