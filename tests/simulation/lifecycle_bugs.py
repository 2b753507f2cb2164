"""Deliberate bugs in what a row says of the lifecycle event before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_protocol.trail.chain import chained
from jobfleet_protocol.trail.held_trail import HeldTrail
from jobfleet_protocol.trail.transitions import Change
from tests.simulation.known import Known


def a_step_named_as_lifecycle_event() -> AbstractContextManager[Any]:
    """A holder names the row before its own, whatever that row is."""
    draft_all = HeldTrail._draft

    def draft(self: HeldTrail, changes: Sequence[Change]) -> list[Event]:
        events: list[Event] = []
        for event in draft_all(self, changes):
            previous = events[-1] if events else self.head
            after = replace(event.after, lifecycle_before=previous.sequence)
            events.append(chained(previous, replace(event, after=after)))
        return events

    return patch.object(HeldTrail, "_draft", draft)


OF_READING = (
    Known(
        "a step named as the lifecycle event before",
        a_step_named_as_lifecycle_event,
        0,
        breaks=BugClass.WHOLE_TRAIL,
        shows="lifecycle_before",
    ),
)
"""Rows that would lead readers astray."""
