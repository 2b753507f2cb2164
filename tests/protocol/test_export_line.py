"""A line of an export that somebody edited is named; it never ends the check of the others."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.reading.export_line import check_columns, event_of_line, export_line
from tests.conformance.jobs import queued, started

LINES = [decode(encode(export_line(event, raw=False))) for event in (queued(), started(queued()))]
STRANGE: tuple[Any, ...] = (None, 1, -1, 1.5, True, "", "x", "\x1b[31m", "²", [], [1], {}, {"a": 1})


def _check(line: dict[str, Any], others: list[dict[str, Any]]) -> None:
    try:
        event = event_of_line(line)
    except InvalidRequest:
        return
    list(check_export([event, *map(event_of_line, others)]))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("name", LINES[0])
def test_no_value_of_any_column_ends_the_check(name: str, raw: bool) -> None:
    first, *others = RAW if raw else LINES
    for value in STRANGE:
        _check(first | {name: value}, others)
    _check({column: value for column, value in first.items() if column != name}, others)


RAW = [decode(encode(export_line(event, raw=True))) for event in (queued(), started(queued()))]
OPTIONAL = {"lockKey", "workerId", "claimedBy", "lock", "dueAt", "salt", "dataHash", "textHash"} | {
    *("hash", "durationMs", "lockTurn")
}


@pytest.mark.parametrize("name", RAW[0])
def test_a_moved_column_of_another_kind_is_refused_before_anything_is_written(name: str) -> None:
    for line in RAW:
        check_columns(line)
        kinds = {type(each[name]) for each in RAW} | ({type(None)} if name in OPTIONAL else set())
        for value in (*STRANGE, 2**63, "a\0b", [{"lock": 1, "turn": 1}], [{"lock": "a"}]):
            with contextlib.suppress(InvalidRequest):
                check_columns(line | {name: value})
                assert type(value) in kinds or name in OPTIONAL, (name, value)
                assert value != 2**63
                assert "\0" not in str(value)
        with pytest.raises(InvalidRequest):
            check_columns({**line, name: object()})
