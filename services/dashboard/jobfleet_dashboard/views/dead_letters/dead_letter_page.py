"""What the page of dead letters shows: causes, dead jobs, and messages that are not requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import DeadLetter, JobQuery
from jobfleet_contracts.ports import Clock, DeadLetterStore, JobIndexReader
from jobfleet_dashboard.views.error_groups.group_row import GroupRow, rows_of
from jobfleet_dashboard.views.jobs.job_row import JobListRow, row_of
from jobfleet_protocol.reading.error_report import RANGES, read_errors
from jobfleet_protocol.reading.masking_turns import in_turns, message_of

PAGE_SIZE = 50
"""Dead jobs of one page; older ones are on the next."""
MAX_LETTERS = 20
MAX_BODY = 2_000
"""Characters of a message's body that the page shows; the API has 32,000."""
RANGE = RANGES["7d"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """One page of dead jobs, with the groups in which jobs failed within seven days.

    Attributes:
        groups: counted over all failures, whatever the page shows; most failed jobs first.
        counted_back_to: where a bounded count has stopped, ``None`` if it saw all seven days.
        jobs: dead now, newest first; ``older`` is the cursor of those before.
        back_to: where a bounded search has stopped.
        letters: the newest messages; ``more_letters`` tells whether there are others.
    """

    groups: Sequence[GroupRow]
    counted_back_to: datetime | None
    jobs: Sequence[JobListRow]
    older: str | None
    back_to: datetime | None
    letters: Sequence[DeadLetter]
    more_letters: bool


async def read_dead_letters(
    *, store: DeadLetterStore, reader: JobIndexReader, clock: Clock, cursor: str | None = None
) -> DeadLetterPage:
    """Return the newest dead jobs, or those before a cursor.

    Raises:
        InvalidRequest: this list did not return the cursor.
        BackendUnavailable: index or store cannot be read.
    """
    report, jobs, letters = await asyncio.gather(
        read_errors(reader, clock, RANGE),
        reader.jobs(JobQuery(dead=True, limit=PAGE_SIZE, cursor=cursor)),
        store.letters(limit=MAX_LETTERS),
    )
    return DeadLetterPage(
        groups=[row for row in await rows_of(report) if row.jobs],
        counted_back_to=report.counted_back_to,
        jobs=await in_turns(row_of, jobs.items, message_of),
        older=jobs.next,
        back_to=jobs.searched_back_to,
        letters=await in_turns(_shown, letters.items, lambda letter: [letter.reason, letter.body]),
        more_letters=letters.next is not None,
    )


def _shown(letter: DeadLetter) -> DeadLetter:
    """Mask before cutting: half a credential would no longer be known as one."""
    reason, body = masked_text(letter.reason), masked_text(letter.body)
    message_id = letter.message_id and masked_text(letter.message_id)
    return replace(letter, reason=reason, body=body[:MAX_BODY], message_id=message_id)
