"""What ``audit verify`` says of a control log that no writer could have written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.audit.control_check import check_control_log, jobs_promised
from jobfleet_protocol.control import pause_state, schedule_state
from jobfleet_protocol.control.control_writer import ControlDraft
from jobfleet_protocol.control.fleet_seal import SEAL
from jobfleet_protocol.control.limit_state import remove_limit, set_limit

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SEALED = {
    "sealed": True,
    "moveId": "m",
    "sealedBy": "ops",
    "sealedAt": "2026-03-01T12:00:00Z",
    "reason": "",
}


def entry(subject: ControlSubject, kind: ControlKind, number: int, **fields: Any) -> ControlEntry:
    name = SEAL if subject is ControlSubject.FLEET else "x"
    given: dict[str, Any] = {"by": "ops", "occurred_at": NOON + number * HOUR} | fields
    return ControlEntry(
        subject=subject, name=name, sequence=number, entry_id=f"e{number}", kind=kind, **given
    )


def limits() -> list[ControlEntry]:
    """A limit that is set, then removed."""
    draft = set_limit(None, slots=2, rate=None, burst=1, by="ops", reason="")
    assert draft is not None
    first = entry(ControlSubject.LIMIT, draft.kind, 1, state=draft.state)
    removed = remove_limit(first, name="x", by="ops", reason="")
    assert removed is not None
    return [first, entry(ControlSubject.LIMIT, removed.kind, 2, state=removed.state)]


def pauses() -> list[ControlEntry]:
    """A queue that is paused for an hour, and then resumed."""
    log: list[ControlEntry] = []
    paused = pause_state.pause(
        None,
        subject=ControlSubject.QUEUE,
        name="x",
        by="ops",
        reason="",
        until=NOON + 2 * HOUR,
        now=NOON + HOUR,
    )
    assert paused is not None
    log.append(entry(ControlSubject.QUEUE, paused.kind, 1, state=paused.state))
    resumed = pause_state.resume_in_time(log[0], now=NOON + 2 * HOUR)
    assert resumed is not None
    return [*log, entry(ControlSubject.QUEUE, resumed.kind, 2, state=resumed.state, by=resumed.by)]


def seals() -> list[ControlEntry]:
    """A fleet that is sealed, then unsealed."""
    return [
        entry(ControlSubject.FLEET, ControlKind.SEALED, 1, state=SEALED),
        entry(ControlSubject.FLEET, ControlKind.UNSEALED, 2, state={"sealed": False}),
    ]


def messages(log: list[ControlEntry]) -> list[tuple[int, str]]:
    return [(found.sequence, found.message) for found in check_control_log(log)]


def test_what_writers_write_passes() -> None:
    for log in (limits(), pauses(), seals(), []):
        assert messages(log) == []


def test_a_gap_a_repeated_id_and_a_kind_of_a_newer_release_are_named() -> None:
    first, second = limits()
    assert messages([second]) == [(2, "entry 1 is missing")]
    assert messages([first, replace(second, entry_id=first.entry_id)]) == [
        (2, "an earlier entry has the same id")
    ]
    newer = replace(second, kind=ControlKind.NEWER)
    assert (2, "its kind is none that this release knows") in messages([first, newer])
    (found,) = check_control_log([second])
    assert found.to_json() == {
        "subject": "limit",
        "name": "x",
        "sequence": 2,
        "message": "entry 1 is missing",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": {}}, "its state cannot be read"),
        ({"kind": ControlKind.PAUSED}, "Paused is nothing that happens to a limit"),
        ({"kind": ControlKind.REMOVED}, "Removed leaves the limit"),
        ({"state": {"slots": None, "rate": None}}, "it limits nothing"),
    ],
)
def test_an_entry_of_a_limit_says_what_it_limits(change: dict[str, Any], message: str) -> None:
    first, _ = limits()
    if change.get("state"):
        change = {"state": dict(first.state) | change["state"]}
    ((sequence, text),) = messages([replace(first, **change)])
    assert (sequence, text[: len(message)]) == (1, message)


def test_a_pause_changes_only_by_a_pause_or_a_resume_in_time() -> None:
    paused, resumed = pauses()
    assert messages([paused, replace(resumed, occurred_at=NOON + HOUR)]) == [
        (2, "the rescuer ends a pause before its time")
    ]
    unreadable = replace(paused, state={"paused": True})
    assert messages([unreadable]) == [(1, "its state cannot be read")]
    found = messages([paused, replace(resumed, kind=ControlKind.CHANGED)])
    assert (2, "Changed changes whether the queue is paused") in found
    assert messages([paused, replace(resumed, state=paused.state)]) == [
        (2, "Resumed leaves the queue as it was")
    ]
    moved = dict(paused.state) | {"pausedAt": "2026-03-01T11:00:00Z"}
    again = entry(ControlSubject.QUEUE, ControlKind.PAUSED, 2, state=moved)
    assert messages([paused, again]) == [
        (2, "the pause began another time, though nothing ended it")
    ]


def test_a_fleet_is_sealed_and_unsealed_in_turn() -> None:
    sealed, unsealed = seals()
    twice = entry(ControlSubject.FLEET, ControlKind.SEALED, 2, state=SEALED)
    assert messages([sealed, twice]) == [(2, "Sealed of a fleet that is sealed")]
    assert messages([replace(unsealed, sequence=1)]) == [
        (1, "Unsealed of a fleet that is not sealed")
    ]
    assert messages([replace(sealed, state={"sealed": False})]) == [
        (1, "Sealed leaves the fleet unsealed")
    ]
    other = entry(ControlSubject.FLEET, ControlKind.PAUSED, 1, state={"sealed": False})
    assert messages([other]) == [(1, "Paused is nothing that happens to the fleet")]


def test_a_schedule_whose_state_cannot_be_read_is_a_finding_and_not_an_end() -> None:
    log = [
        entry(ControlSubject.SCHEDULE, ControlKind.DECLARED, number, state={}) for number in (1, 2)
    ]
    ((sequence, text),) = messages(log)
    assert sequence == 2
    assert text.startswith("its state, or the one before it, cannot be read")


def test_fired_and_triggered_entries_promise_jobs_but_for_the_newest_one() -> None:
    kinds = (ControlKind.FIRED, ControlKind.SKIPPED, ControlKind.TRIGGERED, ControlKind.FIRED)
    log = [
        entry(ControlSubject.SCHEDULE, kind, number, details={"jobId": f"j{number}"})
        for number, kind in enumerate(kinds, start=1)
    ]
    assert [job_id for _, job_id in jobs_promised(log)] == ["j1", "j3"]


PAUSED = {"by": "ops", "reason": "", "since": "2026-03-01T14:00:00Z"}
HOURLY = Schedule(name="x", type="demo", cron="0 * * * *")


def hourly() -> list[ControlEntry]:
    """An hourly schedule: declared at one o'clock, and fired twice after that."""
    log = [_kept(schedule_state.declare(None, HOURLY, by="ops", reason="", now=NOON + HOUR), 1)]
    for number in (2, 3):
        log.append(_kept(schedule_state.fire(log[-1], NOON + number * HOUR), number))
    return log


def _kept(draft: ControlDraft | None, number: int) -> ControlEntry:
    assert draft is not None
    fields = {"details": draft.details, "state": draft.state, "by": draft.by}
    return entry(ControlSubject.SCHEDULE, draft.kind, number, **fields)


def test_ticks_of_a_schedule_follow_each_other_and_make_their_own_jobs() -> None:
    declared, first, second = hourly()
    assert messages([declared, first, second]) == []
    skipped_one = replace(second, sequence=2)
    assert [text[:32] for _, text in messages([declared, skipped_one])] == [
        "the tick after the last one is 2"
    ]
    other = replace(second, details=dict(second.details) | {"jobId": "j"})
    ((_, text),) = messages([declared, first, other])
    assert text.startswith("the job of this tick is ")
    changed = replace(first, kind=ControlKind.CHANGED, state=dict(first.state) | {"paused": PAUSED})
    found = messages([declared, changed, second])
    assert (2, "Changed changes whether the schedule is paused") in found
    assert (3, "a tick is Fired while the schedule is paused") in found
