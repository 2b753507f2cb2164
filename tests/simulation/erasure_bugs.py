"""Deliberate bugs in the erasure of values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_protocol.actions.erasure import Eraser
from jobfleet_worker.upkeep.open_erasures import OpenErasures
from tests.simulation.emphases import MANY_FAULTS, PLAIN, SLEEP
from tests.simulation.known import Known


def values_removed_before_erased() -> AbstractContextManager[Any]:
    """The eraser empties the rows, and writes ``Erased`` then: a redrive may come in between."""
    mark = Eraser._mark

    async def removed_first(self: Eraser, job_id: str, by: str | None, reason: str) -> Event:
        head = await self._trail.newest(job_id)
        if head is not None and head.after.state.is_terminal and self._store is not None:
            await self._store.erase(job_id, last=head.sequence)
        return await mark(self, job_id, by, reason)

    return patch.object(Eraser, "_mark", removed_first)


def noted_after_erased() -> AbstractContextManager[Any]:
    """The eraser writes ``Erased`` first, and the note of what is to be done then."""
    mark = Eraser._mark

    async def marked_first(self: Eraser, job_id: str, by: str | None, reason: str) -> Event:
        opened: list[OpenRow] = []

        async def keep(row: OpenRow) -> None:
            opened.append(row)

        with patch.object(self, "_index", _Opening(self._index, keep)):
            erased = await mark(self, job_id, by, reason)
        for row in opened[-1:]:
            await self._index.open(row)
        return erased

    return patch.object(Eraser, "_mark", marked_first)


class _Opening:
    def __init__(self, index: Any, keep: Any) -> None:
        self._index = index
        self.open = keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)


@contextmanager
def removed_right_after_erased() -> Iterator[None]:
    """The values go at once: a process that looked before writes a copy of them later."""
    begin = Eraser.__init__

    def hasty(self: Eraser, **parts: Any) -> None:
        begin(self, **parts)
        self._wait = timedelta(0)

    with (
        patch.object(Eraser, "__init__", hasty),
        patch("jobfleet_worker.upkeep.open_erasures.WATCHED_SECONDS", 0.0),
    ):
        yield


def note_removed_before_the_values() -> AbstractContextManager[Any]:
    """The rescuer takes the note away, and removes the values then."""
    remove_if_due = OpenErasures.remove_if_due

    async def closed_first(self: OpenErasures, row: OpenRow, erased: Event) -> bool:
        if self._clock.now() >= (row.due_at or erased.occurred_at):
            await self._eraser._index.close(row.facts.job_id, row.incarnation)
        return await remove_if_due(self, row, erased)

    return patch.object(OpenErasures, "remove_if_due", closed_first)


_ERASING = PLAIN | {"erasures": 0.8, "jobs": 9, "old_workers": 0}
_LONG = _ERASING | MANY_FAULTS | {"fault_seconds": 500.0, "crash_rate": 0.02}
OF_ERASURES = (
    Known(
        "values removed before Erased stands",
        values_removed_before_erased,
        3,
        _ERASING | MANY_FAULTS,
        breaks=BugClass.REMOVALS,
        shows="is queued for ever",
    ),
    Known(
        "the note of an erasure written after Erased",
        noted_after_erased,
        8,
        _LONG | {"crash_rate": 0.05, "impatient": 1.0},
        breaks=BugClass.REMOVALS,
        shows="are in the trail for ever",
    ),
    Known(
        "values removed right after Erased",
        removed_right_after_erased,
        43,
        PLAIN | SLEEP | {"erasures": 0.8, "old_workers": 0, "impatient": 0.0},
        breaks=BugClass.REMOVALS,
        shows="still shows values|is left",
    ),
    Known(
        "the note of an erasure removed before the values",
        note_removed_before_the_values,
        0,
        _LONG,
        breaks=BugClass.REMOVALS,
        shows="are in the trail for ever",
    ),
)
"""Ways to leave values of an erased job behind."""
