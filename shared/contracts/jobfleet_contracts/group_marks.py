"""The port of the marks by which a group knows which members have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class GroupMarks(Protocol):
    """Rows that say which members of a group have ended; inserted once, never changed.

    Partitions and row keys hold ``[0-9a-z~-]`` only, up to 100 characters. A partition is that of a
    group whose id it begins with, followed by ``~``. Values are texts of up to 8,000 characters.
    """

    async def insert(self, partition: str, row: str, value: str) -> bool:
        """Insert a row if there is none; durable when this returns.

        Returns:
            Whether it was written; ``False``: the row stands already, perhaps from an earlier try.
        """
        ...

    async def read(self, partition: str) -> Mapping[str, str]:
        """Return all rows of a partition, with every insert that was confirmed before the call.

        Any two answers are ordered: one holds all rows of the other.
        """
        ...

    async def remove(self, group_id: str) -> None:
        """Remove all rows of a group; repeatable."""
        ...
