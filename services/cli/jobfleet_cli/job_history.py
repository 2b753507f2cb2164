"""``jobfleet jobs show``: a job and what happened to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_detail import job_detail
from jobfleet_cli.session import Session
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_reading import history_of
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.event import UNREADABLE, Event
from jobfleet_protocol.trail.large_data import resolve

EVENT_COLUMNS = ("time", "event", "attempt", "epoch", "took", "message")
_SHOWN = (
    "type",
    "state",
    "queue",
    "priority",
    "lockKey",
    "createdAt",
    "runAt",
    "startedAt",
    "completedAt",
    "nextRetryAt",
    "workerId",
)


async def show_job(session: Session, job_id: str, *, as_json: bool) -> ExitCode:
    """Print one job as the REST API gives it, or as a page to read."""
    history = await history_of(session.backend.trail, job_id)
    if any(event.status == UNREADABLE for event in history):
        return _show_rows(history, as_json=as_json)
    payloads = session.backend.payloads
    events = await asyncio.gather(*(resolve(event, payloads) for event in history))
    detail = job_detail(events)
    if as_json:
        print_json(detail)
    else:
        _print_page(detail, events)
    return ExitCode.DONE


def _show_rows(history: Sequence[Event], *, as_json: bool) -> ExitCode:
    """Of a job with a row that cannot be read nothing but its rows can be told."""
    if as_json:
        print_json({"events": [event.to_json() for event in history]})
    else:
        print_table(EVENT_COLUMNS, [event_cells(event) for event in history])
    return ExitCode.NO


def _print_page(detail: dict[str, Any], events: Sequence[Event]) -> None:
    print(f"{visible(detail['jobName'])}  {detail['jobId']}")
    for name in _SHOWN:
        if detail[name] is not None:
            print(f"  {name:<12} {visible(str(detail[name]))}")
    print(f"  {'attempts':<12} {detail['attempts']} of {detail['maxAttempts']}")
    for name in ("payload", "result"):
        if detail[name] is not None:
            print(f"  {name:<12} {visible(encode_text(detail[name]))}")
    print()
    print_table(EVENT_COLUMNS, [event_cells(event) for event in events])
    if detail["lastError"]:
        error = detail["lastError"]
        print(f"\n{visible(error['type'])}: {visible(error['message'], lines=True)}")
        print(visible(error["traceback"], lines=True).rstrip())


def event_cells(event: Event) -> tuple[str, ...]:
    """Return one event as cells of a table."""
    return (
        f"{event.occurred_at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3],
        event.status,
        str(event.after.attempt or ""),
        str(event.after.epoch or ""),
        took(event.duration_ms),
        event.message,
    )


def took(milliseconds: int | None) -> str:
    """Return a duration for people: ``340 ms``, ``12.3 s``."""
    if milliseconds is None:
        return ""
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004
