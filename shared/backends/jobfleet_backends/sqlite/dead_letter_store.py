"""Malformed messages, whole, with the reason."""

from __future__ import annotations

from datetime import datetime

from jobfleet_backends.sql.row_codec import Row
from jobfleet_backends.sqlite.database import Database
from jobfleet_contracts.codec import encodable, format_time, parse_time
from jobfleet_contracts.cursor import NUMBER, CursorForm
from jobfleet_contracts.cut_text import cut_text
from jobfleet_contracts.index import DeadLetter, Page
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage

MAX_BODY_CHARACTERS = 32_000
_CURSOR = CursorForm(f"({NUMBER})")

_ADD = (
    "INSERT INTO dead_letters (letter_id, received_at, reason, message_id, body) "
    "VALUES (?, ?, ?, ?, ?)"
)
_PAGE = """
SELECT position, letter_id, received_at, reason, message_id, body, length(body)
FROM dead_letters WHERE position < ? ORDER BY position DESC LIMIT ?
"""


class SqliteDeadLetterStore:
    """Rows of the table ``dead_letters``, which stands for the broker's dead queue too."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def add(self, letter: MalformedMessage, received_at: datetime) -> None:
        """Keep it, with its whole body."""
        row = (
            new_id(),
            format_time(received_at),
            encodable(letter.reason),
            letter.message_id and encodable(letter.message_id),
            letter.body,
        )
        await self._database.write(lambda connection: connection.execute(_ADD, row))

    async def letters(self, *, cursor: str | None = None, limit: int = 100) -> Page[DeadLetter]:
        """Return malformed messages, newest first."""
        before = _position(cursor)
        rows: list[Row] = await self._database.read(
            lambda connection: connection.execute(_PAGE, (before, limit + 1)).fetchall()
        )
        more = str(rows[limit - 1][0]) if len(rows) > limit else None
        return Page([_letter(row) for row in rows[:limit]], more)

    async def remove(self, letter_id: str) -> None:
        """Forget one."""
        statement = "DELETE FROM dead_letters WHERE letter_id = ?"
        await self._database.write(lambda connection: connection.execute(statement, (letter_id,)))


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 2**62
    return int(_CURSOR.parts(cursor)[0])


def _letter(row: Row) -> DeadLetter:
    _, letter_id, received_at, reason, message_id, body, size = row
    try:
        text = cut_text(bytes(body).decode(errors="replace"), MAX_BODY_CHARACTERS)
        return DeadLetter(letter_id, parse_time(received_at), reason, text, size, message_id)
    except (ValueError, TypeError, AttributeError) as error:
        return DeadLetter.unreadable(str(letter_id), f"{type(error).__name__}: {error}")
