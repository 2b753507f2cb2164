"""All job types with their figures, in the order that the caller asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.reading.queue_record import TypeRecord
from jobfleet_protocol.reading.type_report import TypeReport

SPANS: Mapping[str, str] = {"hour": "Last hour", "day": "Last day"}
SPAN_FIELDS: Mapping[str, str] = {"hour": "lastHour", "day": "lastDay"}
_Measure = Callable[[Mapping[str, Any]], float | None]
_MEASURES: Mapping[str, _Measure] = {
    "ended": lambda figures: figures["endedPerMinute"],
    "failed": lambda figures: figures["failureShare"],
    "waited-p50": lambda figures: figures["waiting"]["p50Ms"],
    "waited-p95": lambda figures: figures["waiting"]["p95Ms"],
    "waited-p99": lambda figures: figures["waiting"]["p99Ms"],
    "ran-p50": lambda figures: figures["running"]["p50Ms"],
    "ran-p95": lambda figures: figures["running"]["p95Ms"],
    "ran-p99": lambda figures: figures["running"]["p99Ms"],
}
SORTS = ("name", *_MEASURES)
DEFAULT_SORT, DEFAULT_SPAN = "ran-p95", "hour"


def types_json(records: Sequence[TypeRecord], report: TypeReport) -> dict[str, Any]:
    """Return the form of ``GET /api/types``, by name.

    Beside the types of live workers and pauses it has those that had jobs within the day.
    """
    known = {record.name for record in records}
    others = [
        TypeRecord(name=name, pause=None, workers=()) for name in report.types if name not in known
    ]
    items = [
        {**record.to_json(), **report.to_json(record.name)}
        for record in sorted([*records, *others], key=lambda record: record.name)
    ]
    return {"items": items, **report.spans_json()}


def sorted_items(items: Sequence[dict[str, Any]], *, span: str, sort: str) -> list[dict[str, Any]]:
    """Return items of ``GET /api/types`` by name, or with the largest figure first.

    Types without the figure come last.
    """
    measure = _MEASURES.get(sort)
    if measure is None:
        return list(items)
    field = SPAN_FIELDS[span]
    return sorted(items, key=lambda item: _rank(measure(item[field])))


def check_span_and_sort(span: str, sort: str) -> None:
    """Refuse what is none of ``SPANS`` or ``SORTS``.

    Raises:
        InvalidRequest: names the field and what it may be.
    """
    for field, value, known in (("span", span, tuple(SPANS)), ("sort", sort, SORTS)):
        if value not in known:
            raise InvalidRequest(f"{field}: must be one of {', '.join(known)}", field=field)


def _rank(value: float | None) -> float:
    return 1.0 if value is None else -value
