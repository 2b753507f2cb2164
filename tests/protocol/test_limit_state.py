"""A named limit after each entry: what it says, what may follow, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.errors import InvalidRequest, UnknownLimit
from jobfleet_protocol.control.limit_state import Limit, remove_limit, set_limit
from jobfleet_protocol.reading.limit_record import entry_json

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPTIONS: dict[str, Any] = {"slots": 2, "rate": None, "burst": 1, "by": "ops", "reason": ""}


def entry(**options: Any) -> ControlEntry:
    draft = set_limit(None, **OPTIONS | options)
    assert draft is not None
    return ControlEntry(
        subject=ControlSubject.LIMIT,
        name="api",
        sequence=1,
        entry_id="e1",
        kind=draft.kind,
        by=draft.by,
        reason=draft.reason,
        occurred_at=NOON,
        state=draft.state,
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "2 slots"),
        ({"slots": 1}, "1 slot"),
        ({"slots": None, "rate": "10/second"}, "10/second"),
        ({"rate": "10/minute", "burst": 5}, "2 slots, 10/minute, burst 5"),
    ],
)
def test_a_limit_is_said_in_a_line(options: dict[str, Any], text: str) -> None:
    assert Limit.of(entry(**options)).text == text


def test_an_entry_that_cannot_be_read_lets_no_job_start_and_says_the_remedy() -> None:
    whole = entry()
    for state in (
        {},
        dict(whole.state) | {"slots": "many"},
        dict(whole.state) | {"slots": 0},
        dict(whole.state) | {"rate": "often"},
        dict(whole.state) | {"rate": 7},
    ):
        found = Limit.of(replace(whole, state=state))
        assert (found.is_unreadable, found.removed, found.slots, found.rate) == (
            True,
            False,
            None,
            None,
        )
        assert found.text == "its log cannot be read: set it anew"


def test_the_same_limit_again_is_no_entry_and_another_one_is() -> None:
    newest = entry()
    assert set_limit(newest, **OPTIONS) is None
    changed = set_limit(newest, **OPTIONS | {"slots": 3})
    assert changed is not None
    assert changed.state["slots"] == 3


def test_a_limit_is_removed_once_and_only_where_it_is() -> None:
    newest = entry()
    draft = remove_limit(newest, name="api", by="ops", reason="")
    removed = replace(newest, kind=draft.kind, state=draft.state)
    assert Limit.of(removed).text == "removed"
    for before in (None, removed):
        with pytest.raises(UnknownLimit, match="no limit api"):
            remove_limit(before, name="api", by="ops", reason="")
    assert set_limit(removed, **OPTIONS) is not None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"slots": None}, "slots"),
        ({"slots": 0}, "slots"),
        ({"slots": True}, "slots"),
        ({"slots": 10**6}, "slots"),
        ({"burst": 2}, "burst"),
        ({"rate": "often"}, "rate"),
        ({"rate": 5}, "rate"),
        ({"rate": "5/second", "burst": 0}, "burst"),
        ({"rate": "5/second", "burst": "2"}, "burst"),
    ],
)
def test_what_limits_nothing_or_does_not_fit_names_its_field(
    options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        set_limit(None, **OPTIONS | options)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")


def test_no_credential_in_a_reason_is_shown_by_a_limit_or_its_history() -> None:
    newest = entry(reason="curl -u me:hunter22 works", rate="5/second", burst=3)
    for shown in (Limit.of(newest).to_json(), entry_json(newest)):
        assert "hunter22" not in str(shown)
        assert (shown["slots"], shown["rate"], shown["burst"]) == (2, "5/second", 3)
    assert entry_json(entry())["burst"] is None
