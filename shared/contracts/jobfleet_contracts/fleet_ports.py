"""Ports about the fleet: who works here, and how often jobs may start; errors as in ``ports``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from jobfleet_contracts.rate import RateRow
from jobfleet_contracts.worker_status import WorkerStatus


class WorkerDirectory(Protocol):
    """Who works here, and who worked here within seven days."""

    async def beat(self, status: WorkerStatus) -> None:
        """Replace this worker's row."""
        ...

    async def workers(self, *, with_stopped: bool = False) -> Sequence[WorkerStatus]:
        """Return every worker heard of within the hour, longest running first.

        Args:
            with_stopped: also those that have stopped in good order within the hour.
        """
        ...

    async def worker(self, worker_id: str) -> WorkerStatus | None:
        """Return one worker, also one that is long silent; ``None`` if it is not known."""
        ...

    async def forget(self, before: datetime) -> None:
        """Remove rows of workers that were last heard of before ``before``; 1,000 a call.

        A row without a readable heartbeat stays.
        """
        ...


class RateStore(Protocol):
    """One row per key that counts starts; replacing what was read is the compare-and-swap.

    A write whose answer was lost may stand. The starts that it reserved are wasted: no other
    write reserves them.
    Keys are ASCII of up to 200 characters: letters, digits, ``_``, ``.``, ``-``, ``/``.
    """

    async def read(self, key: str) -> RateRow | None:
        """Return the row, ``None`` if there is none; strongly consistent."""
        ...

    async def replace(self, key: str, moment: datetime, *, read: RateRow | None) -> bool:
        """Put ``moment`` in the place of the row that was read; durable when this returns.

        Args:
            read: the row as :meth:`read` returned it. ``None``: insert if there is no row.

        Returns:
            Whether it was written; ``False``: another row is there by now. It may be one's own from
            an earlier try, and a late copy of a write is refused likewise.
        """
        ...

    async def forget(self, before: datetime) -> None:
        """Remove rows whose moment lies before ``before``, unless one is replaced meanwhile.

        A moment that has passed allows the same as no row.
        """
        ...
