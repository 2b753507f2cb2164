"""What the page of dead letters shows: dead jobs by cause, and messages that are no requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import DeadLetter, JobQuery
from jobfleet_contracts.ports import DeadLetterStore, JobIndexReader
from jobfleet_dashboard.views.dead_letters.error_group import ErrorGroup, group_errors

MAX_GROUPED = 500
"""Dead jobs of one page; older ones are on the next."""
MAX_LETTERS = 20
MAX_BODY = 2_000
"""Characters of a message's body that the page shows; the API has 32,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """One page of dead jobs, grouped.

    Attributes:
        grouped: how many jobs the groups hold.
        older: cursor of the dead jobs that are not grouped here, ``None`` if all are.
        back_to: when the oldest of the grouped ones died.
        letters: the newest messages; ``more_letters`` tells whether there are others.
    """

    groups: Sequence[ErrorGroup]
    grouped: int
    older: str | None
    back_to: datetime | None
    letters: Sequence[DeadLetter]
    more_letters: bool


async def read_dead_letters(
    *, store: DeadLetterStore, reader: JobIndexReader, cursor: str | None = None
) -> DeadLetterPage:
    """Return the newest dead jobs, or those before a cursor.

    Raises:
        InvalidRequest: the cursor is none of this list's.
        BackendUnavailable: index or store cannot be read.
    """
    jobs, letters = await asyncio.gather(
        reader.jobs(JobQuery(dead=True, limit=MAX_GROUPED, cursor=cursor)),
        store.letters(limit=MAX_LETTERS),
    )
    return DeadLetterPage(
        groups=group_errors(jobs.items),
        grouped=len(jobs.items),
        older=jobs.next,
        back_to=jobs.searched_back_to or (jobs.items[-1].updated_at if jobs.items else None),
        letters=[_shown(letter) for letter in letters.items],
        more_letters=letters.next is not None,
    )


def _shown(letter: DeadLetter) -> DeadLetter:
    """Mask before cutting: half a credential would no longer be known as one."""
    reason, body = masked_text(letter.reason), masked_text(letter.body)
    message_id = letter.message_id and masked_text(letter.message_id)
    return replace(letter, reason=reason, body=body[:MAX_BODY], message_id=message_id)
