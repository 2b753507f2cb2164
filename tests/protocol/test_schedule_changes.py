"""What a schedule's history says of each change: fields, old and new, masked and cut."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_protocol.reading.schedule_changes import MAX_VALUE, logged_entries


def entry(number: int, definition: Any) -> ControlEntry:
    return ControlEntry(
        subject=ControlSubject.SCHEDULE,
        name="daily",
        sequence=number,
        entry_id=f"e{number}",
        kind=ControlKind.CHANGED,
        by="ops",
        occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        state={"definition": definition},
    )


def test_each_entry_tells_the_fields_that_it_changed_and_the_oldest_of_a_log_none() -> None:
    log = [
        entry(4, None),
        entry(3, {"type": "x", "payload": {"a": [1, "b" * 500], "key": "me:hunter22@db"}}),
        entry(2, {"type": "x", "payload": {"url": "postgres://me:hunter22@db/crm"}, "priority": 7}),
        entry(1, {"type": "x", "cron": "0 6 * * *"}),
    ]
    found = [each.changes() for each in logged_entries(log, 4)]
    assert [[change.field for change in changes] for changes in found] == [
        ["payload", "type"],
        ["payload", "priority"],
        ["cron", "payload", "priority"],
        [],
    ]
    assert found[2][0].to_json() == {"field": "cron", "old": "0 6 * * *", "new": None}
    assert [found[2][0].text, found[2][2].text] == ["cron: 0 6 * * * → -", "priority: - → 7"]
    assert "hunter22" not in str(found[2])
    assert len(found[1][0].new or "") == MAX_VALUE
    assert [each.changes() for each in logged_entries(log, 2)] == found[:2]
