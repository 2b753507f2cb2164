"""``jobfleet jobs list``: a page of jobs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_cli.table import Column
from jobfleet_cli.zone import local_time, zone_name
from jobfleet_contracts.codec import format_optional_time
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job_locks import lock_text


async def list_jobs(session: Session, query: JobQuery, *, as_json: bool) -> ExitCode:
    """Print one page; the next page's cursor stands in the JSON, or on standard error."""
    page = await session.backend.reader.jobs(query)
    back_to = format_optional_time(page.searched_back_to)
    items = [row.to_json() for row in page.items]
    print_jobs({"items": items, "next": page.next, "searchedBackTo": back_to}, as_json=as_json)
    return ExitCode.DONE


def print_jobs(page: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a page of ``GET /api/jobs?view=jobs``."""
    if as_json:
        print_json(page)
        return
    columns = (
        Column("job", is_id=True),
        Column("state"),
        Column("type", rank=2, cut=True),
        Column("name", cut=True),
        Column("queue", rank=4, cut=True),
        Column("attempt", rank=5),
        Column(f"updated ({zone_name()})", rank=3),
        Column("message", cut=True),
        Column("locks", rank=6, cut=True),
    )
    print_table(columns, [_cells(row) for row in page["items"]])
    if page["next"]:
        print(f"more: --cursor {page['next']}", file=sys.stderr)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["jobId"],
        row["state"],
        row["type"],
        row["jobName"],
        row["queue"],
        f"{row['attempt']}/{row['maxAttempts']}",
        local_time(row["updatedAt"]),
        row["message"],
        _locks(row),
    )


def _locks(row: Mapping[str, Any]) -> str:
    """Say what a job holds while it runs, or waits for."""
    if row["waitsFor"] is not None:
        return f"waits for {lock_text(row['waitsFor'])}"
    return "; ".join(lock_text(lock) for lock in row["holds"])
