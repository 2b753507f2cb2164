"""Rule 9 for named limits: which starts in slots the control log allows, and which it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_contracts.lease import key_locks, limit_lock
from jobfleet_protocol.audit.limit_check import KNOWN, SKEW, LimitCheck
from jobfleet_protocol.control.limit_state import remove_limit, set_limit
from tests.conformance.jobs import after, queued

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _entry(sequence: int, moment: datetime, slots: int | None) -> ControlEntry:
    """An entry that sets so many slots, or that removes the limit."""
    removed = None if slots else remove_limit(_entry(1, NOON, 2), name="api", by="o", reason="")
    draft = removed or set_limit(None, slots=slots, rate=None, burst=1, by="ops", reason="")
    assert draft is not None
    return ControlEntry(
        subject=ControlSubject.LIMIT,
        name="api",
        sequence=sequence,
        entry_id=f"e{sequence}",
        kind=draft.kind,
        by=draft.by,
        occurred_at=moment,
        state=draft.state,
    )


def _started(moment: datetime, *locks: str) -> list[Event]:
    first = queued(begin=moment - SECOND)
    held = tuple(HeldLock(lock, 1) for lock in locks)
    return [first, after(first, "Started", worker_id="w1", lock="job/x", locks=held)]


@pytest.fixture
def check() -> LimitCheck:
    """Two slots from noon, one from an hour later, none from two hours later."""
    found = LimitCheck()
    hour = timedelta(hours=1)
    found.add(
        [
            _entry(1, NOON, 2),
            _entry(2, NOON + hour, 1),
            _entry(3, NOON + 2 * hour, None),
        ]
    )
    return found


@pytest.mark.parametrize(
    ("moment", "slot", "allowed"),
    [
        (NOON, 2, True),
        (NOON - SKEW, 2, True),
        (NOON - SKEW - SECOND, 2, False),
        (NOON + SECOND, 3, False),
        (NOON + timedelta(hours=1), 2, True),
        (NOON + timedelta(hours=1) + KNOWN, 2, True),
        (NOON + timedelta(hours=1) + KNOWN + SECOND, 2, False),
        (NOON + timedelta(hours=1) + KNOWN + SECOND, 1, True),
        (NOON + timedelta(hours=2) + KNOWN, 1, True),
        (NOON + timedelta(hours=2) + KNOWN + SECOND, 1, False),
    ],
)
def test_a_start_needs_a_slot_that_the_limit_had_shortly_before(
    check: LimitCheck, moment: datetime, slot: int, allowed: bool
) -> None:
    found = list(check.doubtful(_started(moment, limit_lock("api", slot))))
    assert [start.slot for start in found] == ([] if allowed else [slot])
    for start in found:
        finding = check.violation(start)
        assert (finding.rule, finding.sequence) == (9, 2)
        assert finding.message == f"started in slot {slot} of limit api, which had fewer"


def test_a_limit_that_nobody_set_allows_no_start(check: LimitCheck) -> None:
    (start,) = check.doubtful(_started(NOON, limit_lock("other", 1)))
    message = "started under limit other, which is not in the control log"
    assert check.violation(start).message == message


def test_each_slot_of_a_start_is_judged_and_slots_of_lock_keys_are_not(check: LimitCheck) -> None:
    locks = limit_lock("api", 1), limit_lock("api", 9), key_locks("k", 3)[2]
    found = list(check.doubtful(_started(NOON, *locks)))
    assert [(start.limit, start.slot) for start in found] == [("api", 9)]


def test_only_the_start_is_judged_and_not_the_events_after_it(check: LimitCheck) -> None:
    history = _started(NOON, limit_lock("api", 9))
    history.append(after(history[-1], "Step 1", worker_id="w1"))
    assert len(list(check.doubtful(history))) == 1


def test_a_log_that_is_read_again_replaces_what_was_known(check: LimitCheck) -> None:
    (start,) = check.doubtful(_started(NOON + SECOND, limit_lock("api", 3)))
    check.add([_entry(1, NOON, 3)])
    assert check.allows(start)


def test_an_entry_that_cannot_be_read_makes_no_start_a_finding(check: LimitCheck) -> None:
    spoiled = replace(_entry(1, NOON, 1), state={"slots": "many"})
    check.add([spoiled])
    assert list(check.doubtful(_started(NOON + SECOND, limit_lock("api", 900)))) == []
