"""The ports through which operators steer: the control log, and hints to all workers.

What :mod:`jobfleet_contracts.ports` says of errors, loops and names holds here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from jobfleet_contracts.control import ControlEntry, ControlSubject


class ControlLog(Protocol):
    """Append-only logs of what was decided about schedules, queues, types and limits.

    As in the trail, inserting the entry with the next sequence is the compare-and-swap.
    """

    async def insert(self, entry: ControlEntry) -> None:
        """Insert one entry, durable when this returns.

        Raises:
            SequenceTaken: an entry with this sequence stands. It may be one's own.
        """
        ...

    async def read(self, subject: ControlSubject, name: str, sequence: int) -> ControlEntry | None:
        """Return one entry, ``None`` if it has not been written; strongly consistent."""
        ...

    async def newest(self, subject: ControlSubject, name: str) -> ControlEntry | None:
        """Return the last entry, which holds the current state; strongly consistent."""
        ...

    async def heads(self, subject: ControlSubject) -> Sequence[ControlEntry]:
        """Return the last entry of every name, in the order of the names.

        Cost: a request or two a name, however many entries each has.
        """
        ...

    async def history(
        self,
        subject: ControlSubject,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[ControlEntry]:
        """Return up to ``limit`` entries with ``sequence < before``, newest first."""
        ...

    def scan(self) -> AsyncIterator[Sequence[ControlEntry]]:
        """Yield each log whole, oldest entry first; memory holds one log at a time."""
        ...


class ControlChannel(Protocol):
    """Hints to all workers; may be lost, so renewal, claim and heartbeat look again."""

    async def send_cancel(self, job_id: str) -> None:
        """Tell every worker that a cancel request of this job stands in its trail."""
        ...

    def cancels(self) -> AsyncIterator[str]:
        """Yield job ids as requests come; ends when the backend is closed."""
        ...

    async def announce_change(self, subject: ControlSubject, name: str) -> None:
        """Tell every worker that an entry was appended to this log of the control log.

        Raises:
            BackendUnavailable: not confirmed; workers see the entry with their next heartbeat.
        """
        ...

    def changes(self) -> AsyncIterator[tuple[ControlSubject, str]]:
        """Yield subject and name as changes are announced; ends when the backend is closed."""
        ...
