"""What was given up: malformed messages, and jobs that failed for good."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.index import DeadLetter, JobQuery, JobRow
from jobfleet_contracts.state import DEAD

_MESSAGES, _JOBS = "m", "j"
_CURSOR = CursorForm(f"({_MESSAGES}|{_JOBS}):(.*)")


async def dead_letters(
    backend: Backend, *, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page and the cursor of the next: first the messages, then the jobs.

    Raises:
        InvalidRequest: the cursor is none of ours.
        BackendUnavailable: the store or the index cannot be read.
    """
    part, inner = (_MESSAGES, "") if cursor is None else _CURSOR.parts(cursor)
    if part == _JOBS:
        return await _dead_jobs(backend, inner or None, limit)
    letters = await backend.dead_letters.letters(cursor=inner or None, limit=limit)
    items = [_message(letter) for letter in letters.items]
    if letters.next is not None:
        return items, f"{_MESSAGES}:{letters.next}"
    if len(items) >= limit:
        return items, f"{_JOBS}:"
    jobs, following = await _dead_jobs(backend, None, limit - len(items))
    return items + jobs, following


async def _dead_jobs(
    backend: Backend, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    page = await backend.reader.jobs(JobQuery(states=DEAD, limit=limit, cursor=cursor))
    items = [_job(row) for row in page.items if not row.dismissed]
    return items, None if page.next is None else f"{_JOBS}:{page.next}"


def _message(letter: DeadLetter) -> dict[str, Any]:
    return {
        "kind": "message",
        "at": format_time(letter.received_at),
        "reason": masked_text(letter.reason),
        "letterId": letter.letter_id,
        "messageId": letter.message_id and masked_text(letter.message_id),
        "body": masked_text(letter.body),
        "size": letter.size,
        "jobId": None,
        "jobName": None,
        "type": None,
        "state": None,
        "attempt": None,
    }


def _job(row: JobRow) -> dict[str, Any]:
    return {
        "kind": "job",
        "at": format_time(row.updated_at),
        "reason": masked_text(row.message),
        "letterId": None,
        "messageId": None,
        "body": None,
        "size": None,
        "jobId": row.facts.job_id,
        "jobName": row.facts.job_name,
        "type": row.facts.job_type,
        "state": row.state.value,
        "attempt": row.attempt,
    }
