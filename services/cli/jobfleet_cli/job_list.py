"""``jobfleet jobs list``: a page of jobs."""

from __future__ import annotations

import sys
from typing import Any

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_contracts.codec import format_optional_time, format_time
from jobfleet_contracts.index import JobQuery, JobRow

COLUMNS = ("job", "state", "type", "name", "queue", "attempt", "updated", "message")


async def list_jobs(session: Session, query: JobQuery, *, as_json: bool) -> ExitCode:
    """Print one page; the next page's cursor stands in the JSON, or on standard error."""
    page = await session.backend.reader.jobs(query)
    if as_json:
        print_json({"items": [job_json(row) for row in page.items], "next": page.next})
        return ExitCode.DONE
    print_table(COLUMNS, [_cells(row) for row in page.items])
    if page.next:
        print(f"more: --cursor {page.next}", file=sys.stderr)
    return ExitCode.DONE


def job_json(row: JobRow) -> dict[str, Any]:
    """Return a job of a list, with the names of the REST API."""
    return {
        "jobId": row.facts.job_id,
        "jobName": row.facts.job_name,
        "type": row.facts.job_type,
        "state": row.state.value,
        "status": row.status,
        "queue": row.facts.queue,
        "priority": row.facts.priority,
        "lockKey": row.facts.lock_key,
        "attempt": row.attempt,
        "attempts": row.attempt,
        "maxAttempts": row.max_attempts,
        "epoch": row.epoch,
        "workerId": row.worker_id,
        "message": row.message,
        "createdAt": format_time(row.facts.created_at),
        "updatedAt": format_time(row.updated_at),
        "dueAt": format_optional_time(row.due_at),
    }


def _cells(row: JobRow) -> tuple[str, ...]:
    return (
        row.facts.job_id,
        row.state.value,
        row.facts.job_type,
        row.facts.job_name,
        row.facts.queue,
        f"{row.attempt}/{row.max_attempts}",
        f"{row.updated_at.astimezone():%Y-%m-%d %H:%M:%S}",
        row.message,
    )
