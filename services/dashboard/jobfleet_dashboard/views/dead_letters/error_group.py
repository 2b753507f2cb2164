"""Dead jobs grouped by what went wrong, so that one cause is one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import JobRow

_VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"0x[0-9a-fA-F]+"), "<address>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)
_MAX_CAUSE = 200


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Dead jobs of one type that died of the same.

    Attributes:
        key: short and stable, for forms and anchors.
        cause: the message with ids and numbers taken out.
    """

    key: str
    job_type: str
    cause: str
    jobs: tuple[JobRow, ...]

    @property
    def first_at(self) -> datetime:
        """When the first of them died."""
        return min(job.updated_at for job in self.jobs)

    @property
    def last_at(self) -> datetime:
        """When the last of them died."""
        return max(job.updated_at for job in self.jobs)


def group_errors(rows: Sequence[JobRow]) -> tuple[ErrorGroup, ...]:
    """Return the groups, largest first; dismissed jobs are left out."""
    found: dict[tuple[str, str], list[JobRow]] = {}
    for row in (replace(row, message=masked_text(row.message)) for row in rows):
        if not row.dismissed:
            found.setdefault((row.facts.job_type, cause_of(row.message)), []).append(row)
    groups = [
        ErrorGroup(_key(job_type, cause), job_type, cause, tuple(jobs))
        for (job_type, cause), jobs in found.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-len(group.jobs), group.job_type, group.cause)))


def cause_of(message: str) -> str:
    """Return the first line of a message without what differs from job to job."""
    cause = message.strip().split("\n", 1)[0][:_MAX_CAUSE]
    for pattern, name in _VARYING:
        cause = pattern.sub(name, cause)
    return cause or "no message"


def _key(job_type: str, cause: str) -> str:
    return sha256(f"{job_type}\n{cause}".encode()).hexdigest()[:12]
