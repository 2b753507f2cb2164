"""Counts of starts by the rules of the port: a row is replaced only as it was read."""

from __future__ import annotations

from datetime import datetime

from jobfleet_contracts.rate import RateRow
from tests.simulation.wire import Wire


class RateTable:
    """All rows, by key."""

    def __init__(self) -> None:
        self.rows: dict[str, RateRow] = {}
        self._writes = 0

    def replace(self, key: str, moment: datetime, read: RateRow | None) -> bool:
        """Put the moment in the place of what was read."""
        if self.rows.get(key) != read:
            return False
        self._writes += 1
        self.rows[key] = RateRow(moment, str(self._writes))
        return True

    def forget(self, before: datetime) -> None:
        """Remove old rows."""
        for key in [key for key, row in self.rows.items() if row.moment < before]:
            del self.rows[key]


class FakeRateStore:
    """The port, as one process uses it."""

    def __init__(self, *, table: RateTable, wire: Wire) -> None:
        self._table = table
        self._wire = wire

    async def read(self, key: str) -> RateRow | None:
        """Return one row."""
        return await self._wire.read("rate.read", lambda: self._table.rows.get(key), about=key)

    async def replace(self, key: str, moment: datetime, *, read: RateRow | None) -> bool:
        """Put the moment in the place of what was read."""
        return await self._wire.write(
            "rate.replace", lambda: self._table.replace(key, moment, read), about=key
        )

    async def forget(self, before: datetime) -> None:
        """Remove old rows."""
        await self._wire.write("rate.forget", lambda: self._table.forget(before))
