"""Wrong chains and changed rows: the hashes of the trail have to show each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_protocol.actions.submission import Submitter
from jobfleet_protocol.trail import chain
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.transitions import Change
from tests.simulation.fake_trail import TrailTable
from tests.simulation.known import Known
from tests.simulation.simulation import Simulation


@contextmanager
def hash_of_a_stale_row() -> Iterator[None]:
    """A holder that has looked again still chains its event to the row that it knew before."""
    revalidate, draft_all = HeldTrail._revalidate, HeldTrail._draft
    known: dict[int, Event] = {}

    async def look_again(self: HeldTrail) -> Event:
        known[id(self)] = self.head
        return await revalidate(self)

    def on_the_old_row(self: HeldTrail, changes: Sequence[Change]) -> list[Event]:
        events = draft_all(self, changes)
        stale = known.pop(id(self), None)
        if stale is not None and events:
            events[0] = chain.chained(stale, events[0])
        return events

    with ExitStack() as stack:
        stack.enter_context(patch.object(HeldTrail, "_revalidate", look_again))
        stack.enter_context(patch.object(HeldTrail, "_draft", on_the_old_row))
        yield


def hash_of_another_event_1() -> AbstractContextManager[Any]:
    """A repeated submit publishes the hash of the event 1 that it drew, not of the stored one."""
    publish = Submitter._publish

    async def with_a_hash_of_its_own(
        self: Submitter, request: JobRequest, defaults: JobDefaults, head: Event
    ) -> None:
        await publish(self, request, defaults, chain.chained(None, head))

    return patch.object(Submitter, "_publish", with_a_hash_of_its_own)


def old_row_changed(**change: Any) -> Callable[[], AbstractContextManager[Any]]:
    """A user with access to the storage changes an ended job's row."""

    def bug() -> AbstractContextManager[Any]:
        insert = TrailTable.insert

        def insert_and_forge(self: TrailTable, events: Sequence[Event]) -> None:
            insert(self, events)
            rows = self.jobs[events[0].job_id]
            if events[-1].status == "Completed":
                rows[events[-1].sequence] = replace(events[-1], **change)

        return patch.object(TrailTable, "insert", insert_and_forge)

    return bug


def tail_written_anew() -> AbstractContextManager[Any]:
    """A user writes an ending anew, with hashes that fit: only heads kept elsewhere show it."""
    heal = Simulation._heal

    def forge_after_the_heads(self: Any) -> None:
        heal(self)
        for rows in self.servers.trail.jobs.values():
            last = max(rows)
            if rows[last].after.state.is_terminal and last > 1:
                rows[last] = chain.chained(rows.get(last - 1), replace(rows[last], message="?"))

    return patch.object(Simulation, "_heal", forge_after_the_heads)


_HASHES = "^rule 12|^heads"
BY_THE_HASHES = (
    Known(
        "an event chained to a row known before the newest",
        hash_of_a_stale_row,
        1,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_HASHES,
    ),
    Known(
        "a message with the hash of another event 1",
        hash_of_another_event_1,
        3,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_HASHES,
    ),
    Known(
        "an old row's message changed",
        old_row_changed(message="?"),
        0,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_HASHES,
    ),
    Known(
        "an old row's result changed",
        old_row_changed(data={"result": {"epoch": 1}, "more": 0}),
        0,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_HASHES,
    ),
    Known(
        "an old row's duration changed",
        old_row_changed(duration_ms=0),
        0,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_HASHES,
    ),
    Known(
        "a tail written anew with hashes that fit",
        tail_written_anew,
        0,
        breaks=BugClass.WHOLE_TRAIL,
        shows="^heads",
    ),
)
"""What the hash chain has to show, and the heads of an earlier time."""
