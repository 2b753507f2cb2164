"""What is unusual about a schedule, in whole sentences."""

from __future__ import annotations

from collections.abc import Iterator

from jobfleet_dashboard.views.short_id import short
from jobfleet_protocol.control.schedule_state import CODE
from jobfleet_protocol.reading.schedule_record import ScheduleRecord

_DIGEST = 12


def schedule_notes(record: ScheduleRecord) -> tuple[str, ...]:
    """Return one sentence each, with the remedy; nothing where all is well."""
    return tuple(_notes(record))


def _notes(record: ScheduleRecord) -> Iterator[str]:
    state = record.state
    if state is None:
        yield f"Its newest entry cannot be read: {record.error}. It fires nothing."
        return
    if not record.handled:
        yield (
            f"No live worker handles the type {state.schedule.job['type']}: its jobs would wait. "
            "Start a worker with that handler."
        )
    if len(record.contents) > 1:
        told = "; ".join(
            f"{digest[:_DIGEST]} by {', '.join(map(short, workers))}"
            for digest, workers in sorted(record.contents.items())
        )
        yield (
            f"Live workers declare it differently: {told}. The newest is in force. "
            "Deploy one content, or use two names."
        )
    if record.is_forgotten:
        yield "The code of no live worker declares it any more. It still runs until it is removed."
    if record.differs_from_code and state.declared_by != CODE:
        yield (
            f"It differs from the code: {state.declared_by} changed it. "
            "The change stands until the code declares something new."
        )
