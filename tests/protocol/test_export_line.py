"""A line of an export that somebody edited is named; it never ends the check of the others."""

from __future__ import annotations

from typing import Any

import pytest

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.reading.export_line import event_of_line, export_line
from tests.conformance.jobs import queued, started

LINES = [decode(encode(export_line(event, raw=False))) for event in (queued(), started(queued()))]
STRANGE: tuple[Any, ...] = (None, 1, -1, 1.5, True, "", "x", "\x1b[31m", "²", [], [1], {}, {"a": 1})


def _check(line: dict[str, Any], others: list[dict[str, Any]]) -> None:
    try:
        event = event_of_line(line)
    except InvalidRequest:
        return
    list(check_export([event, *map(event_of_line, others)]))


@pytest.mark.parametrize("name", LINES[0])
def test_no_value_of_any_column_ends_the_check(name: str) -> None:
    first, *others = LINES
    for value in STRANGE:
        _check(first | {name: value}, others)
    _check({column: value for column, value in first.items() if column != name}, others)
