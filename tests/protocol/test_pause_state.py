"""What may follow in the log of a queue or type, and what ``audit verify`` says of wrong ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.audit.control_check import check_control_log
from jobfleet_protocol.control import pause_state
from jobfleet_protocol.control.control_writer import ControlDraft
from jobfleet_protocol.control.pause_state import Pause

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def entry(draft: ControlDraft | None, sequence: int, at: datetime = NOW) -> ControlEntry:
    assert draft is not None
    return ControlEntry(
        subject=ControlSubject.QUEUE,
        name="mail",
        sequence=sequence,
        entry_id=f"e{sequence}",
        kind=draft.kind,
        by=draft.by,
        occurred_at=at,
        reason=draft.reason,
        details=draft.details,
        state=draft.state,
    )


def paused(newest: ControlEntry | None = None, **fields: Any) -> ControlDraft | None:
    given = {"by": "me", "reason": "", "until": None, "now": NOW, **fields}
    return pause_state.pause(newest, subject=ControlSubject.QUEUE, name="mail", **given)


def test_another_end_keeps_the_beginning_of_the_pause() -> None:
    first = entry(paused(), 1)
    second = entry(paused(first, until=LATER, now=NOW + timedelta(minutes=1)), 2)
    pause = Pause.of(second)
    assert pause is not None
    assert (pause.since, pause.until, pause.sequence) == (NOW, LATER, 1)
    assert check_control_log([first, second]) == []


def test_the_same_pause_again_and_a_resume_of_nothing_write_nothing() -> None:
    assert paused(entry(paused(), 1)) is None
    assert pause_state.resume(None, by="me") is None


def test_an_end_in_the_past_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="until"):
        paused(until=NOW)


def test_a_pause_is_over_only_by_an_entry() -> None:
    standing = entry(paused(until=LATER), 1)
    assert pause_state.resume_in_time(standing, now=LATER - timedelta(seconds=1)) is None
    resumed = entry(pause_state.resume_in_time(standing, now=LATER), 2, at=LATER)
    assert Pause.of(resumed) is None
    assert check_control_log([standing, resumed]) == []


@pytest.mark.parametrize("state", [{}, {"paused": True}, {"paused": True, "exempt": 7}])
def test_an_entry_that_cannot_be_read_pauses_until_somebody_resumes(state: dict[str, Any]) -> None:
    broken = replace(entry(paused(), 1), state=state)
    pause = Pause.of(broken)
    assert pause is not None
    assert "cannot be read" in pause.text
    assert pause_state.resume(broken, by="me") is not None
    assert check_control_log([broken])


def test_a_log_that_nothing_like_it_writes_is_found() -> None:
    standing = entry(paused(until=LATER), 1)
    early = entry(pause_state.resume_in_time(standing, now=LATER), 2, at=NOW)
    assert "before its time" in check_control_log([standing, early])[0].message
    quiet = replace(early, kind=ControlKind.CHANGED, by="code")
    assert "changes whether" in check_control_log([standing, quiet])[0].message
    nothing = replace(standing, kind=ControlKind.RESUMED)
    assert check_control_log([nothing])
    moved = replace(standing, sequence=2, entry_id="e2", state={**standing.state, "entry": 2})
    assert "began another time" in check_control_log([standing, moved])[0].message
