"""What must be true of pauses: nothing starts once every live worker must have read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.state import Status
from tests.simulation.process import BEGIN

KNOWN_SECONDS = 15.0
"""Three heartbeats: no worker may go by a look at the control log that began earlier."""
SKEW_SECONDS = 2.0
"""An event has the time of its worker's clock, which is off by less."""


def pause_faults(
    landed: Sequence[tuple[float, ControlEntry]], trails: Mapping[str, Sequence[Event]]
) -> Iterator[str]:
    """Yield each start that a pause forbids.

    An event's time is when its worker decided, which counts: the row may come much later.

    Args:
        landed: entries of the control log with the second in which each was inserted.
    """
    spans = [
        span
        for subject in (ControlSubject.QUEUE, ControlSubject.TYPE)
        for span in _spans(subject, landed)
    ]
    exempt = {
        (job_id, epoch + 1)
        for _, entry in landed
        for job_id, epoch in entry.state.get("exempt", {}).items()
    }
    for job_id, history in trails.items():
        for event in history:
            if event.kind is not Status.STARTED or event.facts.job_type in INTERNAL_TYPES:
                continue
            if (job_id, event.after.epoch) in exempt:
                continue
            at = (event.occurred_at - BEGIN).total_seconds()
            for subject, name, since, until in spans:
                own = event.facts.queue if subject is ControlSubject.QUEUE else event.facts.job_type
                if (
                    own == name
                    and since + KNOWN_SECONDS < at - SKEW_SECONDS
                    and (at + SKEW_SECONDS < until)
                ):
                    yield (
                        f"job {job_id} #{event.sequence} started at {at:.1f} s, though {subject} "
                        f"{name} was paused from {since:.1f} to {until:.1f} s"
                    )


def _spans(
    subject: ControlSubject, landed: Sequence[tuple[float, ControlEntry]]
) -> Iterator[tuple[ControlSubject, str, float, float]]:
    """Yield when each pause stood in the log."""
    since: dict[str, float] = {}
    for at, entry in landed:
        if entry.subject is not subject:
            continue
        if entry.kind is ControlKind.PAUSED:
            since.setdefault(entry.name, at)
        elif entry.kind is ControlKind.RESUMED and entry.name in since:
            yield subject, entry.name, since.pop(entry.name), at
    for name, at in since.items():
        yield subject, name, at, float("inf")
