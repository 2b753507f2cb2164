"""Which jobs an action on many is meant for: all that a filter finds, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.ports import JobIndexReader

MAX_FOUND = 10_000
"""Jobs that one action on a filter may be meant for."""
PAGE = 1000


async def find_jobs(reader: JobIndexReader, query: JobQuery | None) -> Sequence[JobRow]:
    """Return all jobs that a question finds; none for ``None``.

    Raises:
        ActionRefused: it finds over 10,000.
    """
    found: list[JobRow] = []
    following = None if query is None else replace(query, limit=PAGE, cursor=None)
    while following is not None and len(found) <= MAX_FOUND:
        page = await reader.jobs(following)
        found += page.items
        following = replace(following, cursor=page.next) if page.next else None
    if len(found) > MAX_FOUND:
        raise ActionRefused(f"the filter finds over {MAX_FOUND:,} jobs; narrow it")
    return found


async def find_expected(
    reader: JobIndexReader, query: JobQuery | None, expected: int
) -> Sequence[str]:
    """Return the ids of the jobs, if they are as many as the caller saw who now wants to act.

    Raises:
        ActionRefused: it finds another number, or over 10,000.
    """
    found = [row.facts.job_id for row in await find_jobs(reader, query)]
    if len(found) != expected:
        raise ActionRefused(
            f"the filter finds {count_of(len(found))} now, not {expected:,}; look again"
        )
    return found


def count_of(jobs: int) -> str:
    """Return ``1 job`` or ``1,234 jobs``."""
    return "1 job" if jobs == 1 else f"{jobs:,} jobs"
