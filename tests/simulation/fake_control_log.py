"""The control log by the rules of the port: an entry is inserted where none with its key is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_protocol.control.fleet_seal import SEAL
from tests.simulation.journal import Journal
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.wire import Wire


class ControlTable:
    """All entries, by subject and name, then by sequence.

    Args:
        is_moved: the fleet may be sealed. Where it never is, a look for the seal costs nothing, so
            that a run without a move is the same run as before.

    Attributes:
        landed: each entry with the second in which it was inserted.
    """

    def __init__(self, *, journal: Journal, time: VirtualTime, is_moved: bool) -> None:
        self.is_moved = is_moved
        self.logs: dict[tuple[ControlSubject, str], dict[int, ControlEntry]] = {}
        self.landed: list[tuple[float, ControlEntry]] = []
        self._journal = journal
        self._time = time

    def insert(self, entry: ControlEntry) -> None:
        """Insert one entry."""
        log = self.logs.setdefault((entry.subject, entry.name), {})
        if entry.sequence in log:
            raise SequenceTaken(f"{entry.subject} {entry.name} has entry {entry.sequence}")
        log[entry.sequence] = entry
        self.landed.append((self._time.now, entry))
        self._journal.note("control", entry.kind, entry.subject, entry.name, entry.sequence)

    def newest_first(self, subject: ControlSubject, name: str) -> list[ControlEntry]:
        """Return the entries of one log."""
        log = self.logs.get((subject, name), {})
        return [log[sequence] for sequence in sorted(log, reverse=True)]

    def names(self, subject: ControlSubject) -> list[str]:
        """Return the names that have a log."""
        return sorted(name for of, name in self.logs if of is subject)


class FakeControlLog:
    """The port, as one process uses it."""

    def __init__(self, *, table: ControlTable, wire: Wire) -> None:
        self._table = table
        self._wire = wire

    async def insert(self, entry: ControlEntry) -> None:
        """Insert one entry."""
        await self._wire.write(
            "control.insert",
            lambda: self._table.insert(entry),
            about=f"{entry.name} {entry.sequence} {entry.kind}",
        )

    async def read(self, subject: ControlSubject, name: str, sequence: int) -> ControlEntry | None:
        """Return one entry."""
        return await self._wire.read(
            "control.read",
            lambda: self._table.logs.get((subject, name), {}).get(sequence),
        )

    async def newest(self, subject: ControlSubject, name: str) -> ControlEntry | None:
        """Return the last entry."""
        is_seal = (subject, name) == (ControlSubject.FLEET, SEAL)
        if is_seal and not self._table.is_moved:
            return None
        found = await self.history(subject, name, limit=1)
        return found[0] if found else None

    async def heads(self, subject: ControlSubject) -> Sequence[ControlEntry]:
        """Return the last entry of every name."""
        return await self._wire.read(
            "control.heads",
            lambda: [
                self._table.newest_first(subject, name)[0] for name in self._table.names(subject)
            ],
        )

    async def history(
        self,
        subject: ControlSubject,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[ControlEntry]:
        """Return entries of one log, newest first."""

        def ask() -> list[ControlEntry]:
            entries = self._table.newest_first(subject, name)
            return [e for e in entries if before is None or e.sequence < before][:limit]

        return await self._wire.read("control.history", ask)

    async def scan(self) -> AsyncIterator[Sequence[ControlEntry]]:
        """Yield each log whole."""
        for subject in ControlSubject:
            for name in self._table.names(subject):
                yield (await self.history(subject, name, limit=2**31))[::-1]
