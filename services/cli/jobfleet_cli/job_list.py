"""``jobfleet jobs list``: a page of jobs."""

from __future__ import annotations

import sys

from jobfleet_cli.answer import print_json, print_table
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.session import Session
from jobfleet_contracts.codec import format_optional_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import JobQuery, JobRow

COLUMNS = ("job", "state", "type", "name", "queue", "attempt", "updated", "message")


async def list_jobs(session: Session, query: JobQuery, *, as_json: bool) -> ExitCode:
    """Print one page; the next page's cursor stands in the JSON, or on standard error."""
    page = await session.backend.reader.jobs(query)
    if as_json:
        back_to = format_optional_time(page.searched_back_to)
        items = [row.to_json() for row in page.items]
        print_json({"items": items, "next": page.next, "searchedBackTo": back_to})
        return ExitCode.DONE
    print_table(COLUMNS, [_cells(row) for row in page.items])
    if page.next:
        print(f"more: --cursor {page.next}", file=sys.stderr)
    return ExitCode.DONE


def _cells(row: JobRow) -> tuple[str, ...]:
    return (
        row.facts.job_id,
        row.state.value,
        row.facts.job_type,
        row.facts.job_name,
        row.facts.queue,
        f"{row.attempt}/{row.max_attempts}",
        f"{row.updated_at.astimezone():%Y-%m-%d %H:%M:%S}",
        masked_text(row.message),
    )
