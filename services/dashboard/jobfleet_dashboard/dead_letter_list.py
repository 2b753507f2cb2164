"""What was given up: malformed messages, and jobs that failed for good."""

from __future__ import annotations

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.cursor import CursorForm
from jobfleet_contracts.index import DeadLetter, JobQuery, JobRow
from jobfleet_contracts.ports import DeadLetterStore, JobIndexReader
from jobfleet_contracts.state import DEAD
from jobfleet_dashboard.api.documents import DeadLetterDocument, DeadLetterPage
from jobfleet_protocol.reading.masking_turns import in_turns, message_of

_MESSAGES, _JOBS = "m", "j"
_CURSOR = CursorForm(f"({_MESSAGES}|{_JOBS}):(.*)")


async def dead_letters(
    *, store: DeadLetterStore, reader: JobIndexReader, cursor: str | None, limit: int
) -> DeadLetterPage:
    """Return a page: first the messages, then the jobs.

    Raises:
        InvalidRequest: this list did not return the cursor.
        BackendUnavailable: the store or the index cannot be read.
    """
    part, inner = (_MESSAGES, "") if cursor is None else _CURSOR.parts(cursor)
    if part == _JOBS:
        return await _dead_jobs(reader, inner or None, limit)
    letters = await store.letters(cursor=inner or None, limit=limit)
    items = await in_turns(_message, letters.items, lambda letter: [letter.reason, letter.body])
    if letters.next is not None:
        return DeadLetterPage(items=items, next=f"{_MESSAGES}:{letters.next}")
    if len(items) >= limit:
        return DeadLetterPage(items=items, next=f"{_JOBS}:")
    jobs = await _dead_jobs(reader, None, limit - len(items))
    return DeadLetterPage(items=items + jobs.items, next=jobs.next)


async def _dead_jobs(reader: JobIndexReader, cursor: str | None, limit: int) -> DeadLetterPage:
    page = await reader.jobs(JobQuery(states=DEAD, limit=limit, cursor=cursor))
    items = await in_turns(_job, [row for row in page.items if not row.dismissed], message_of)
    return DeadLetterPage(items=items, next=None if page.next is None else f"{_JOBS}:{page.next}")


def _message(letter: DeadLetter) -> DeadLetterDocument:
    return DeadLetterDocument(
        kind="message",
        at=letter.received_at,
        reason=masked_text(letter.reason),
        letter_id=letter.letter_id,
        message_id=letter.message_id and masked_text(letter.message_id),
        body=masked_text(letter.body),
        size=letter.size,
        job_id=None,
        job_name=None,
        type=None,
        state=None,
        attempt=None,
    )


def _job(row: JobRow) -> DeadLetterDocument:
    return DeadLetterDocument(
        kind="job",
        at=row.updated_at,
        reason=masked_text(row.message),
        letter_id=None,
        message_id=None,
        body=None,
        size=None,
        job_id=row.facts.job_id,
        job_name=row.facts.job_name,
        type=row.facts.job_type,
        state=row.state,
        attempt=row.attempt,
    )
