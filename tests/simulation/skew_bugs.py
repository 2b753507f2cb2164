"""Deliberate bugs of a release that works beside a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import PropertyMock, patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import Status
from jobfleet_protocol.claiming import acceptance
from jobfleet_protocol.control.used_level import UsedLevels
from tests.simulation.emphases import MANY_FAULTS, PLAIN
from tests.simulation.known import Known


def run_without_an_unknown_field() -> AbstractContextManager[Any]:
    """A worker ignores a field of the stored request that it does not know."""
    return patch.object(acceptance, "unknown_fields_of", lambda _: ())


def passed_on_as_whole() -> AbstractContextManager[Any]:
    """A worker passes a message on without the field that it does not know, as if it were whole."""
    return patch.object(JobMessage, "without_proof", lambda self: self)


@contextmanager
def written_after_an_unknown_event() -> Iterator[None]:
    """A worker takes an event that it does not know for one that only puts the job off."""

    def kind(self: Event) -> Status:
        try:
            return Status.of(self.status)
        except ValueError:
            return Status.DEFERRED

    with (
        patch.object(Event, "is_readable", PropertyMock(return_value=True)),
        patch.object(Event, "kind", property(kind)),
    ):
        yield


def level_noted_by_nobody() -> AbstractContextManager[Any]:
    """A submitter looks at the workers, and leaves no note for those that start later."""

    async def nothing(_self: UsedLevels, _level: int, **_: Any) -> None:
        return

    return patch.object(UsedLevels, "raise_to", nothing)


_SKEW = PLAIN | {"workers": 3, "old_workers": 2, "jobs": 9}
_SILENT = _SKEW | MANY_FAULTS | {"fault_seconds": 300.0, "lease_seconds": 30.0}
OF_TWO_RELEASES = (
    Known(
        "a field that a worker does not know is ignored",
        run_without_an_unknown_field,
        3,
        _SILENT,
        breaks=BugClass.TWO_RELEASES,
        shows="ran without a field",
    ),
    Known(
        "a message passed on without a field looks whole",
        passed_on_as_whole,
        3,
        _SILENT,
        breaks=BugClass.TWO_RELEASES,
        shows="ran without a field",
    ),
    Known(
        "an event of an unknown kind taken for a known one",
        written_after_an_unknown_event,
        6,
        _SKEW,
        breaks=BugClass.TWO_RELEASES,
        shows="follows what its writer does not know",
    ),
    Known(
        "a used level noted by nobody",
        level_noted_by_nobody,
        16,
        _SKEW | MANY_FAULTS,
        breaks=BugClass.TWO_RELEASES,
        shows="started below the level",
    ),
)
"""Faults of an old release beside a newer one."""
