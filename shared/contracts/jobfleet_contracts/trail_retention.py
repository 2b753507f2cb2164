"""The port that removes histories and values; every other port only adds to the trail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, Page


class TrailRetention(Protocol):
    """The one way to take rows or values out of trail and index; for retention and erasure alone.

    A job's rows go in this order: the index without the newest event, the trail, the newest event
    in the index. So ``ended_before`` finds a job again whose removal was interrupted.
    """

    async def ended_before(
        self, moment: datetime, *, cursor: str | None = None, limit: int = 100
    ) -> Page[IndexedEvent]:
        """Return events from before ``moment`` that left their jobs ended, as the index has them.

        The job may have gone on since, or its history may be removed already: ask the trail.
        """
        ...

    async def forget(self, tombstone: Event, *, last: int) -> None:
        """Put a tombstone, an event 1, in the place of the job's events 1 to ``last``.

        Repeatable until it has succeeded. Where it takes several transactions (Azure, more than
        99 events), older rows go first: event ``last`` is the newest until the tombstone stands.

        Raises:
            SequenceTaken: the job has another newest event by now; nothing was removed.
        """
        ...

    async def unlist(self, events: Sequence[IndexedEvent]) -> None:
        """Remove events from the index. Do nothing if they are gone."""
        ...

    async def erase(self, job_id: str, *, last: int) -> None:
        """Remove job name, message, data and salt from the job's events 1 to ``last``.

        Each row is left as :meth:`Event.without_values` says. Repeatable until it has succeeded.
        What statistics show of the job (samples of errors, slow runs) goes too, where the backend
        can find it.
        """
        ...

    async def check_rights(self) -> None:
        """Return if this process may change rows of the trail.

        Raises:
            BackendForbidden: it may not; names the role that it has, or needs.
        """
        ...
