"""Hints to all workers, as messages of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from jobfleet_contracts.control import ControlSubject

_CANCEL, _CHANGE = "cancel", "change"
_SUBJECTS = frozenset(subject.value for subject in ControlSubject)


class SqlControlChannel(ABC):
    """A control channel over a table; each database sends and follows messages in its own way."""

    async def send_cancel(self, job_id: str) -> None:
        """Tell every worker of a cancel request."""
        await self._send(_CANCEL, job_id)

    async def cancels(self) -> AsyncIterator[str]:
        """Yield job ids as requests come; ends when the backend is closed."""
        async for job_id in self._follow(_CANCEL):
            yield job_id

    async def announce_change(self, subject: ControlSubject, name: str) -> None:
        """Tell every worker that the control log has a new entry."""
        await self._send(_CHANGE, f"{subject.value}/{name}")

    async def changes(self) -> AsyncIterator[tuple[ControlSubject, str]]:
        """Yield subject and name as changes come; ends when the backend is closed."""
        async for about in self._follow(_CHANGE):
            subject, _, name = about.partition("/")
            if subject in _SUBJECTS:  # a newer release may know others
                yield ControlSubject(subject), name

    @abstractmethod
    async def _send(self, kind: str, about: str) -> None:
        """Add a message, and forget those of more than an hour ago."""

    @abstractmethod
    def _follow(self, kind: str) -> AsyncIterator[str]:
        """Yield what messages of a kind are about, as they come."""
