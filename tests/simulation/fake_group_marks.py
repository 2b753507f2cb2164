"""Marks of ended group members by the rules of the port: a row is inserted once."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulation.wire import Wire


class FakeGroupMarks:
    """The port, as one process uses it."""

    def __init__(self, *, rows: dict[str, dict[str, str]], wire: Wire) -> None:
        self._rows = rows
        self._wire = wire

    async def insert(self, partition: str, row: str, value: str) -> bool:
        """Insert a row where none is."""

        def insert() -> bool:
            rows = self._rows.setdefault(partition, {})
            if row in rows:
                return False
            rows[row] = value
            return True

        return await self._wire.write("mark.insert", insert, about=f"{partition[-6:]} {row}")

    async def read(self, partition: str) -> Mapping[str, str]:
        """Return all rows of a partition."""
        return await self._wire.read(
            "mark.read", lambda: dict(self._rows.get(partition, {})), about=partition[-6:]
        )

    async def remove(self, group_id: str) -> None:
        """Remove all rows of a group."""

        def remove() -> None:
            for partition in [p for p in self._rows if p.startswith(f"{group_id}~")]:
                del self._rows[partition]

        await self._wire.write("mark.remove", remove, about=group_id[-4:])
