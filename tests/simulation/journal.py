"""What happened in one run, in order: the log that a replay prints."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from tests.simulation.virtual_time import VirtualTime

Entry = tuple[float, str, str, tuple[Any, ...]]


class Journal:
    """Collects entries without formatting them; formatting costs more than the run."""

    def __init__(self, *, time: VirtualTime) -> None:
        self._time = time
        self._entries: list[Entry] = []

    def note(self, who: str, what: str, *details: Any) -> None:
        """Write an entry at the present time."""
        self._entries.append((self._time.now, who, what, details))

    def lines(self) -> Iterator[str]:
        """Yield the entries as text."""
        for when, who, what, details in self._entries:
            yield f"{when:10.3f} {who:<12} {what:<26} {' '.join(map(str, details))}"

    def fingerprint(self) -> str:
        """Return a digest of all that happened."""
        digest = sha256()
        for line in self.lines():
            digest.update(line.encode())
        return digest.hexdigest()
