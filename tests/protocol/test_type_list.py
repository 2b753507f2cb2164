"""Types as lists show them: those that had jobs beside those that are known, by any figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.reading.queue_record import TypeRecord
from jobfleet_protocol.reading.type_list import (
    SORTS,
    SPANS,
    check_span_and_sort,
    sorted_items,
    types_json,
)
from jobfleet_protocol.reading.type_report import NO_FIGURES, TypeReport

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPORT = TypeReport(
    hour_since=NOON,
    day_since=NOON - timedelta(days=1),
    hour={},
    day={"report": NO_FIGURES, "import": NO_FIGURES},
    slowest=(),
)


def test_types_that_had_jobs_stand_among_those_that_are_known() -> None:
    known = [TypeRecord(name="mail", pause=None, workers=("w1",))]
    known += [TypeRecord(name="import", pause=None, workers=())]
    answer = types_json(known, REPORT)
    assert [item["type"] for item in answer["items"]] == ["import", "mail", "report"]
    assert answer["items"][1]["workers"] == ["w1"]
    assert (answer["hourSince"], answer["slowest"]) == ("2026-03-01T12:00:00.000000Z", [])


def _item(name: str, value: float | None) -> dict[str, Any]:
    times = {"p50Ms": value, "p95Ms": value, "p99Ms": value}
    figures = {"endedPerMinute": value, "failureShare": value, "waiting": times, "running": times}
    return {"type": name, "lastHour": figures, "lastDay": figures}


def test_each_sort_puts_the_largest_figure_first_and_none_last() -> None:
    items = [_item("a", None), _item("b", 0), _item("c", 5), _item("d", 2)]
    for span in SPANS:
        assert [item["type"] for item in sorted_items(items, span=span, sort="name")] == [*"abcd"]
        for sort in SORTS[1:]:
            found = sorted_items(items, span=span, sort=sort)
            assert [item["type"] for item in found] == [*"cdba"], sort


def test_an_unknown_span_or_sort_is_refused_with_what_there_is() -> None:
    for sort in SORTS:
        check_span_and_sort("day", sort)
    for span, sort, field in (("week", "name", "span"), ("day", "size", "sort")):
        with pytest.raises(InvalidRequest, match=f"{field}: must be one of ") as refused:
            check_span_and_sort(span, sort)
        assert refused.value.field == field
