"""What ``jobfleet schedules`` prints, from the shapes of ``/api/schedules``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.table import Column
from jobfleet_contracts.codec import encode_text

_HISTORY = ("sequence", "timestamp", "kind", "tick", "jobId", "by", "reason")


def print_list(found: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Print all schedules."""
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = (
        Column("NAME", cut=True),
        Column("TYPE", rank=2, cut=True),
        Column("WHEN", cut=True),
        Column("NEXT (UTC)"),
        Column("LAST", rank=1, cut=True),
        Column("STATE", cut=True),
    )
    print_table(columns, [*map(_row, found["items"])])
    return ExitCode.DONE


def print_schedule(schedule: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Print one schedule with its next runs."""
    if as_json:
        print_json(schedule)
    else:
        print_table(("FIELD", "VALUE"), _fields(schedule))
    return ExitCode.DONE


def print_times(found: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Print the next times."""
    if as_json:
        print_json(found)
    else:
        print_table(("NEXT (UTC)",), [(time,) for time in found["items"]])
    return ExitCode.DONE


def print_history(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> ExitCode:
    """Print what happened to a schedule."""
    if as_json:
        print_json({"items": rows})
        return ExitCode.DONE
    columns = (
        Column("SEQUENCE", rank=4),
        Column("TIMESTAMP"),
        Column("KIND"),
        Column("TICK", rank=2),
        Column("JOBID", rank=3, is_id=True),
        Column("BY", rank=1, cut=True),
        Column("REASON", cut=True),
        Column("CHANGED", cut=True),
    )
    print_table(columns, [(*(str(row[c] or "") for c in _HISTORY), _changed(row)) for row in rows])
    return ExitCode.DONE


def _changed(row: Mapping[str, Any]) -> str:
    """Return the changed fields in a line: ``cron: 0 6 * * * → 0 7 * * *``."""
    changes = row["changes"]
    return "; ".join(f"{c['field']}: {c['old'] or '-'} → {c['new'] or '-'}" for c in changes)


def print_made(jobs: Sequence[Mapping[str, Any]], *, as_json: bool) -> ExitCode:
    """Print jobs that a schedule has made by hand."""
    for job in jobs:
        if as_json:
            print_json(job)
        else:
            print(job["jobId"])
    return ExitCode.DONE


def _row(shown: Mapping[str, Any]) -> tuple[str, ...]:
    if shown["error"] is not None:
        return (shown["name"], "", "", "", "", f"cannot be read: {shown['error']}")
    following = shown["nextRuns"][0] if shown["nextRuns"] else "-"
    last = f"{shown['lastState'] or ''}"
    return (shown["name"], shown["type"], _when(shown), following, last, _condition(shown))


def _when(shown: Mapping[str, Any]) -> str:
    if shown["cron"] is None:
        return f"every {shown['everySeconds']:g} s"
    return f"{shown['cron']} {shown['timezone']}"


def _condition(shown: Mapping[str, Any]) -> str:
    if shown["paused"]:
        return f"paused by {shown['pausedBy']}"
    if not shown["handled"]:
        return f"no live worker handles {shown['type']}"
    if shown["payloadRefused"]:
        return f"payload refused: {shown['payloadRefused']}"
    return f"late since {shown['lateSince']}" if shown["late"] else "on time"


def _fields(schedule: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for field, value in schedule.items():
        if field == "nextRuns":
            rows += [(field, time) for time in value]
        elif field != "job" and value is not None:
            rows.append((field, value if isinstance(value, str) else encode_text(value)))
    return rows
