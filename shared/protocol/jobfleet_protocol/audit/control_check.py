"""Check one log of the control log, and that schedules and their jobs agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject, text_in
from jobfleet_protocol.control import schedule_state
from jobfleet_protocol.control.fleet_seal import Seal, is_seal_log
from jobfleet_protocol.control.limit_state import Limit
from jobfleet_protocol.control.pause_state import PAUSABLE, RESCUER, Pause
from jobfleet_protocol.control.schedule_state import ScheduleState

_PAUSING = (ControlKind.PAUSED, ControlKind.RESUMED)
_FIRING = (ControlKind.FIRED, ControlKind.SKIPPED)


@dataclass(frozen=True, slots=True)
class ControlViolation:
    """What is wrong with one entry of the control log."""

    subject: ControlSubject
    name: str
    sequence: int
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``audit verify --json`` prints."""
        return {
            "subject": self.subject,
            "name": self.name,
            "sequence": self.sequence,
            "message": self.message,
        }


def check_control_log(log: Sequence[ControlEntry]) -> list[ControlViolation]:
    """Return what one subject's log breaks; the whole log, oldest entry first.

    All: sequences have no gap and entry ids are unique.

    Schedule: each tick is fired or skipped once, in order and without a gap. None fires while the
    schedule is paused or removed. Only a pause or a resume changes whether it is paused.

    Queue or type: the same, and the rescuer resumes it at ``until``, never before.

    Limit: it is set or removed, and each entry says what it limits.

    Seal: the fleet is sealed and unsealed in turn.
    """
    found = [*_dense(log)]
    if log and is_seal_log(log[0]):
        found += _seals(log)
    for before, entry in pairwise([None, *log]):
        if entry is None or _is_unreadable(entry) or _is_unreadable(before):
            continue  # it has been named, and nothing follows from it
        try:
            found += _entry(before, entry)
        except Exception as error:  # noqa: BLE001 - an edited row is a finding, not an end
            found.append(_violation(entry, f"it cannot be checked: {error}"))
    return found


def _entry(before: ControlEntry | None, entry: ControlEntry) -> list[ControlViolation]:
    if entry.subject is ControlSubject.SCHEDULE:
        return [] if before is None else [*_follows(before, entry)]
    if entry.subject is ControlSubject.LIMIT:
        return [*_limit_entry(entry)]
    return [*_pause_follows(before, entry)] if entry.subject in PAUSABLE else []


def _is_unreadable(entry: ControlEntry | None) -> bool:
    return entry is not None and entry.kind is ControlKind.UNREADABLE


def jobs_promised(log: Sequence[ControlEntry]) -> Iterator[tuple[ControlEntry, str]]:
    """Yield the entries whose jobs must be in the trail, with the job ids.

    The newest entry's job may still be missing: the next look of the scheduler submits it.
    """
    for entry in log[:-1]:
        makes_jobs = entry.kind in (ControlKind.FIRED, ControlKind.TRIGGERED)
        if makes_jobs and entry.subject is ControlSubject.SCHEDULE:
            yield entry, text_in(entry.details, "jobId") or ""


def _dense(log: Sequence[ControlEntry]) -> Iterator[ControlViolation]:
    ids: set[str] = set()
    for place, entry in enumerate(log, start=1):
        if entry.sequence != place:
            yield _violation(entry, f"entry {place} is missing")
            return
        if entry.kind is ControlKind.UNREADABLE:
            yield _violation(entry, entry.reason)
        if entry.kind is ControlKind.NEWER:
            yield _violation(entry, "its kind is none that this release knows")
        if entry.entry_id in ids:
            yield _violation(entry, "an earlier entry has the same id")
        ids.add(entry.entry_id)


def _follows(before: ControlEntry, entry: ControlEntry) -> Iterator[ControlViolation]:
    try:
        state, after = ScheduleState.of(before), ScheduleState.of(entry)
    except Exception as error:  # noqa: BLE001 - a row that cannot be read is a finding, not an end
        yield _violation(entry, f"its state, or the one before it, cannot be read: {error}")
        return
    if after.paused != state.paused and entry.kind not in _PAUSING:
        yield _violation(entry, f"{entry.kind} changes whether the schedule is paused")
    if entry.kind in _FIRING:
        yield from _ticks(state, entry)


def _pause_follows(before: ControlEntry | None, entry: ControlEntry) -> Iterator[ControlViolation]:
    pause, after = Pause.of(before), Pause.of(entry)
    if after is not None and after.is_unreadable:
        yield _violation(entry, "its state cannot be read")
        return
    if (after is not None) != (pause is not None) and entry.kind not in _PAUSING:
        yield _violation(entry, f"{entry.kind} changes whether the {entry.subject} is paused")
    announces = entry.kind is ControlKind.DECLARED
    if not announces and (entry.kind is ControlKind.RESUMED) == (after is not None):
        yield _violation(entry, f"{entry.kind} leaves the {entry.subject} as it was")
    if (
        after is not None
        and pause is not None
        and (after.sequence, after.since)
        != (
            pause.sequence,
            pause.since,
        )
    ):
        yield _violation(entry, "the pause began another time, though nothing ended it")
    is_over = pause is not None and pause.is_over(entry.occurred_at)
    if entry.kind is ControlKind.RESUMED and entry.by == RESCUER and not is_over:
        yield _violation(entry, "the rescuer ends a pause before its time")


def _limit_entry(entry: ControlEntry) -> Iterator[ControlViolation]:
    limit = Limit.of(entry)
    if limit.is_unreadable:
        yield _violation(entry, "its state cannot be read")
    elif entry.kind not in (ControlKind.SET, ControlKind.REMOVED):
        yield _violation(entry, f"{entry.kind} is nothing that happens to a limit")
    elif limit.removed != (entry.kind is ControlKind.REMOVED):
        yield _violation(entry, f"{entry.kind} leaves the limit {limit.text}")
    elif not limit.removed and limit.slots is None and limit.rate is None:
        yield _violation(entry, "it limits nothing")


def _seals(log: Sequence[ControlEntry]) -> Iterator[ControlViolation]:
    sealed = False
    for entry in log:
        if entry.kind is ControlKind.UNREADABLE:  # named already; the seal before it may stand
            continue
        if entry.kind not in (ControlKind.SEALED, ControlKind.UNSEALED):
            yield _violation(entry, f"{entry.kind} is nothing that happens to the fleet")
        elif (entry.kind is ControlKind.SEALED) == sealed:
            state = "sealed" if sealed else "not sealed"
            yield _violation(entry, f"{entry.kind} of a fleet that is {state}")
        sealed = Seal.of(entry) is not None
        if sealed != (entry.kind is ControlKind.SEALED):
            yield _violation(entry, f"{entry.kind} leaves the fleet {'' if sealed else 'un'}sealed")


def _ticks(state: ScheduleState, entry: ControlEntry) -> Iterator[ControlViolation]:
    if not state.fires:
        why = "removed" if state.removed else "paused"
        yield _violation(entry, f"a tick is {entry.kind} while the schedule is {why}")
    expected = format_time(next(state.ticks()))
    first = entry.details.get("first", entry.details["tick"])
    if first != expected and entry.details.get("complete", True):
        yield _violation(entry, f"the tick after the last one is {expected}, not {first}")
    made = schedule_state.tick_job_id(entry.name, entry.details["tick"])
    if entry.kind is ControlKind.FIRED and entry.details["jobId"] != made:
        yield _violation(entry, f"the job of this tick is {made}, not {entry.details['jobId']}")


def _violation(entry: ControlEntry, message: str) -> ControlViolation:
    return ControlViolation(entry.subject, entry.name, entry.sequence, message)
