"""``jobfleet jobs show``: a job and what happened to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_cli.table import Column
from jobfleet_cli.terminal_text import INDENT, indented, visible
from jobfleet_cli.trail_reading import history_of, known_form
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_contracts.codec import encode_text
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_locks import lock_text
from jobfleet_protocol.reading.job_reader import JobReader

_SHOWN = (
    "type",
    "state",
    "queue",
    "priority",
    "lockKey",
    "lockSlots",
    "createdAt",
    "runAt",
    "startedAt",
    "completedAt",
    "nextRetryAt",
    "workerId",
)

_TIMES = frozenset({"createdAt", "runAt", "startedAt", "completedAt", "nextRetryAt"})


async def show_job(session: Session, job_id: str, *, as_json: bool) -> ExitCode:
    """Print one job as the REST API gives it, or as a page to read.

    Exit 1 where a row of its history cannot be read; the row is shown as such.
    """
    reader = JobReader(
        trail=session.backend.trail,
        payloads=session.backend.payloads,
        coder=session.backend.coder,
    )
    record = await reader.read(known_form(job_id))
    if as_json:
        print_json(record.to_json())
    else:
        history = record.events
        if record.older is not None:
            history = await history_of(session.backend.trail, job_id)
        print_job(record.to_json(), [event.to_json() for event in history])
    readable = all(event.is_readable for event in record.events)
    return ExitCode.DONE if readable else ExitCode.NO


def print_job(job: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    """Print a job of ``GET /api/jobs/{jobId}`` and its history; all times in one zone."""
    _print_facts(job)
    columns = (
        Column(f"time ({zone_name()})"),
        Column("event"),
        Column("attempt", rank=2),
        Column("epoch", rank=3),
        Column("took", rank=1),
        Column("message", cut=True),
    )
    print_table(columns, [_cells(event) for event in events])
    _print_error(job["lastError"])


def _cells(event: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        local_time(event["timestamp"], milliseconds=True),
        event["status"],
        str(event["attempt"] or ""),
        str(event["epoch"] or ""),
        took(event["durationMs"]),
        event["message"],
    )


def _print_facts(job: Mapping[str, Any]) -> None:
    zone = f" {zone_name()}"
    print(f"{visible(job['jobName'])}  {job['jobId']}")
    for name in _SHOWN:
        if job[name] is not None:
            value = local_time(job[name]) if name in _TIMES else str(job[name])
            print(f"  {name:<12} {visible(value)}{zone if name in _TIMES else ''}")
    print(f"  {'attempts':<12} {job['attempts']} of {job['maxAttempts']}")
    for name, value in _limits(job):
        print(f"  {name:<12} {visible(value)}")
    for name in ("payload", "result"):
        if job[name] is not None:
            print(f"  {name:<12} {visible(encode_text(job[name]))}")
    if job["followsJobId"] is not None:
        print(f"  {'follows':<12} {job['followsJobId']}")
    for step in job["successors"]:
        value = f"{step['type']} on {step['when']} {step['jobId'] or ''}".rstrip()
        print(f"  {'then':<12} {visible(value)}")
    print()


def _limits(job: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the named limits, and what the job holds or waits for, as far as there is any."""
    if job["limits"]:
        yield "limits", ", ".join(job["limits"])
    if job["holds"]:
        yield "holds", "; ".join(lock_text(lock) for lock in job["holds"])
    if job["waitsFor"] is not None:
        yield "waits for", lock_text(job["waitsFor"])


def _print_error(error: Any) -> None:
    if not isinstance(error, dict):
        return
    print(f"\n{visible(str(error.get('type')))}: {indented(str(error.get('message')))}")
    if error.get("traceback"):
        print(f"{INDENT}{indented(str(error['traceback']))}")


def event_cells(event: Event) -> tuple[str, ...]:
    """Return one event as cells of a table."""
    return (
        f"{local_time(event.occurred_at, milliseconds=True)} {zone_name()}",
        event.status,
        str(event.after.attempt or ""),
        str(event.after.epoch or ""),
        took(event.duration_ms),
        masked_text(event.message),
    )


def took(milliseconds: int | None) -> str:
    """Return a duration for people: ``340 ms``, ``12.3 s``."""
    if milliseconds is None:
        return ""
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004
