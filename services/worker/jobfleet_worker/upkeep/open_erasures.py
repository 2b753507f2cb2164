"""Completes erasures whose waiting time is over; belongs to the rescuer."""

from __future__ import annotations

import structlog

from jobfleet_contracts.errors import BackendForbidden
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.erasure import Eraser

WATCHED_SECONDS = 60.0
"""A leader whose wall clock is ahead waits at least so long by its own boot clock."""
ERASURE_FORBIDDEN = "erasure.forbidden"

_log = structlog.get_logger()


def is_note_of_erasure(row: OpenRow, head: Event) -> bool:
    """Whether an open row says that the values of an erased job are to be removed."""
    return head.status == Status.ERASED and row.incarnation == head.after.incarnation + 1


class OpenErasures:
    """Knows since when it has seen each one."""

    def __init__(self, *, eraser: Eraser, clock: Clock) -> None:
        self._eraser = eraser
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._is_forbidden = False

    async def remove_if_due(self, row: OpenRow, erased: Event) -> bool:
        """Remove the values if their time has come.

        Returns:
            Whether they are gone. Without the rights to remove them, the row stays and the log
            says once which role is missing.

        Raises:
            BackendError: storage does not answer; a later look goes on.
        """
        now = self._clock.boottime()
        since = self._seen.setdefault(erased.job_id, now)
        due_at = row.due_at or erased.occurred_at
        if self._clock.now() < due_at or now - since < WATCHED_SECONDS:
            return False
        try:
            is_done = await self._eraser.complete(erased)
        except BackendForbidden as error:
            if not self._is_forbidden:
                _log.error(ERASURE_FORBIDDEN, job_id=erased.job_id, error=str(error))
            self._is_forbidden = True
            return False
        if is_done:
            del self._seen[erased.job_id]
        return is_done
