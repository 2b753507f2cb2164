"""What must be true of named limits: no more jobs run than slots, by the clock and by the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.audit.limit_check import LimitCheck
from tests.simulation.process import BEGIN

KNOWN_SECONDS = 17.0
"""Three heartbeats, and the difference of clocks: what a start may go by."""

Crowds = Sequence[tuple[float, float, str, int]]
"""When a run began, when the earliest one beside it did, the limit, and how many there were."""


def limit_faults(
    landed: Sequence[tuple[float, ControlEntry]],
    crowds: Crowds,
    trails: Mapping[str, Sequence[Event]],
) -> Iterator[str]:
    """Yield starts that the limits did not allow.

    Args:
        landed: entries of the control log with the second in which each was inserted.
    """
    entries = [(at, entry) for at, entry in landed if entry.subject is ControlSubject.LIMIT]
    for now, since, name, count in crowds:
        most = _most(entries, name, since - KNOWN_SECONDS, now)
        if count > most:
            yield f"{count} jobs run under limit {name} at {now:.1f} s, which had {most} slots"
    check = LimitCheck()
    for name in {entry.name for _, entry in entries}:
        # By when each landed: who wrote it may have stood still in between.
        log = [(at, entry) for at, entry in entries if entry.name == name]
        check.add([replace(e, occurred_at=BEGIN + timedelta(seconds=at)) for at, e in log])
    for history in trails.values():
        for start in check.doubtful(history):
            yield f"job {start.job_id} #{start.sequence}: {check.violation(start).message}"


def slot_faults(written: Iterable[tuple[float, Event]]) -> Iterator[str]:
    """Yield jobs that run in one slot of a limit at once, in the order in which rows were stored.

    Args:
        written: each row with the second in which it was stored.
    """
    holders: dict[str, str] = {}
    held: dict[str, list[str]] = {}
    for when, event in written:
        for lock in held.pop(event.job_id, ()):
            if holders.get(lock) == event.job_id:
                del holders[lock]
        if event.after.state is not State.RUNNING or event.kind is Status.TAKEN_OVER:
            continue
        held[event.job_id] = [slot.lock for slot in event.after.locks]
        for lock in held[event.job_id]:
            if (other := holders.get(lock)) is not None:
                yield f"at {when:.3f} job {event.job_id} runs beside {other} in {lock}"
            holders[lock] = event.job_id


def _most(
    entries: Sequence[tuple[float, ControlEntry]], name: str, since: float, until: float
) -> int:
    """Return the most slots that the limit had at any time between the two."""
    most = 0
    log = [(at, entry.state["slots"]) for at, entry in entries if entry.name == name]
    for place, (at, slots) in enumerate(log):
        ends = log[place + 1][0] if place + 1 < len(log) else float("inf")
        if at <= until and ends >= since:
            most = max(most, slots)
    return most
