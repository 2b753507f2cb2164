"""An imported entry of the control log has the inner form that its writer gives it, or is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.codec import encode
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.actions.action_journal import JOURNAL
from jobfleet_protocol.actions.bulk_action import BulkAction, JobResult
from jobfleet_protocol.control import schedule_state, used_level
from jobfleet_protocol.control.control_writer import ControlDraft
from jobfleet_protocol.control.entry_form import check_entry_form
from jobfleet_protocol.moving.move_file import MoveWriter, read_items
from jobfleet_protocol.moving.move_item import MoveHeader
from jobfleet_protocol.reading.export_line import control_line
from jobfleet_protocol.reading.job_actions import JobAction
from tests.protocol.test_control_check import entry, limits, pauses, seals

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = "6e4e1c5e-2b7d-5c3f-9a51-0c9c1f2f7d11"


def _schedule() -> Iterator[ControlEntry]:
    schedule = Schedule(name="x", type="a", every=timedelta(hours=1))
    declared = schedule_state.declare_by_code(None, schedule, now=NOON)
    assert declared is not None
    newest = _entry(ControlSubject.SCHEDULE, 1, declared)
    yield newest
    yield _entry(ControlSubject.SCHEDULE, 2, schedule_state.fire(newest, NOON + timedelta(hours=1)))
    paused = schedule_state.pause(newest, by="ops", reason="", now=NOON)
    assert paused is not None
    yield _entry(ControlSubject.SCHEDULE, 2, paused)
    tick = NOON + timedelta(hours=1)
    yield _entry(ControlSubject.SCHEDULE, 2, schedule_state.skip_overlap(newest, tick, ID))


def _entry(subject: ControlSubject, number: int, draft: ControlDraft) -> ControlEntry:
    return entry(
        subject, draft.kind, number, state=draft.state, details=draft.details, reason=draft.reason
    )


def _action() -> Iterator[ControlEntry]:
    action = BulkAction(
        action_id=ID,
        action=JobAction.CANCEL,
        by="ops",
        reason="",
        scope="a filter",
        count=1,
        asked_at=NOON,
        batch={ID: 1},
    )
    results = [[r.job_id, r.state, r.error] for r in (JobResult(ID, "cancelled", None),)]
    asked = entry(ControlSubject.ACTION, ControlKind.ASKED, 1, state=action.state())
    yield replace(asked, name=ID)
    yield replace(asked, name=ID, kind=ControlKind.ENDED, details={"results": results})
    details = {"actionId": ID, "action": "cancel", "count": 1, "scope": "a filter"}
    yield replace(asked, name=JOURNAL, state={"open": [ID]}, details=details)


def _level() -> ControlEntry:
    found = entry(ControlSubject.FLEET, ControlKind.SET, 1, state={"level": 2})
    return replace(found, name=used_level.NAME)


ENTRIES = [*limits(), *pauses(), *_schedule(), *_action(), _level()]
IDS = [f"{each.subject}-{each.kind}-{number}" for number, each in enumerate(ENTRIES)]
WRONG: tuple[Any, ...] = ({"a": []}, ["x", 1.5], 2.5, "\0", "soon")


def _file(line: Mapping[str, Any]) -> list[bytes]:
    writer = MoveWriter()
    header = writer.header(MoveHeader(ID, "embedded", "ada", NOON))
    return [header, encode(line) + b"\n", writer.footer()]


def _problem(line: Mapping[str, Any]) -> str:
    with pytest.raises(InvalidRequest, match=r"^line 2: ") as refused:
        list(read_items(_file(line)))
    return str(refused.value)


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_what_writers_write_is_taken(entry: ControlEntry) -> None:
    writer = MoveWriter()
    header = writer.header(MoveHeader(ID, "embedded", "ada", NOON))
    assert list(read_items([header, writer.item(entry), writer.footer()])) == [entry]


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_each_field_of_another_kind_is_refused_with_line_and_field(entry: ControlEntry) -> None:
    line = control_line(entry, raw=True)
    for part in ("state", "details"):
        for name in line[part]:
            fields = [{**line[part], name: wrong} for wrong in WRONG if _is_wrong(name, wrong)]
            assert fields
            for changed in fields:
                problem = _problem({**line, part: changed})
                assert f"{part}.{name}" in problem, (changed, problem)
    for name in line["state"]:
        if name not in ("index", "moveId"):
            left = {key: value for key, value in line["state"].items() if key != name}
            assert "state." in _problem({**line, "state": left})


def _is_wrong(name: str, value: Any) -> bool:
    """A text is what some fields hold, and an object what the definition may be."""
    if value == "\0":
        return True
    return not isinstance(value, str) and not (
        name in ("definition", "code") and value == {"a": []}
    )


@pytest.mark.parametrize("name", ["entryId", "by", "reason", "timestamp", "details", "state"])
def test_each_column_of_another_kind_is_refused_by_its_name(name: str) -> None:
    line = control_line(ENTRIES[0], raw=True)
    for wrong in ([["a", 1]], 5, None, True):
        assert name in _problem({**line, name: wrong})
    if name not in ("details", "state", "timestamp"):
        assert name in _problem({**line, name: "a\0b"})
        assert name in _problem({**line, name: "a" * 40_000})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": {"definition": {"a": []}}}, "state.definition"),
        ({"state": {"code": {"type": 5}}}, "state.definition"),
        ({"state": {"paused": {"by": "ops", "reason": ""}}}, "state.paused.since"),
        ({"details": {"tick": None}}, "details.tick"),
        ({"details": {"jobId": None}}, "details.jobId"),
        ({"state": {"x": ["\0"]}}, "state.x.0"),
        ({"state": {"x": "y" * 40_000}}, "state of schedule x has"),
    ],
)
def test_what_stands_deeper_is_named_too(change: dict[str, Any], field: str) -> None:
    fired = ENTRIES[IDS.index("schedule-Fired-5")]
    changed: Any = {part: {**getattr(fired, part), **new} for part, new in change.items()}
    with pytest.raises(InvalidRequest) as refused:
        check_entry_form(replace(fired, **changed))
    assert field in str(refused.value)


@pytest.mark.parametrize("state", [{"slots": 2, "rate": "often"}, {"slots": -1}, {"slots": 10**9}])
def test_a_limit_that_no_worker_can_read_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"state\."):
        check_entry_form(replace(ENTRIES[0], state={**ENTRIES[0].state, **state}))


def test_a_seal_in_the_file_is_refused() -> None:
    for found in (*seals(), replace(_level(), name="another")):
        with pytest.raises(InvalidRequest, match=r"^name: "):
            check_entry_form(found)
