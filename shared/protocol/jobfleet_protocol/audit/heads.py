"""Heads: the newest hash of each job, kept elsewhere, against which a stored trail is compared.

The chain alone shows a changed row. It does not show three things: rows missing at the end, a
missing job, and a tail that was written anew with hashes that fit. A head of an earlier time
does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_protocol.audit.chain_check import CHAIN_RULE, violation
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.trail.tombstone import is_tombstone


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row of one job, and its hash."""

    job_id: str
    sequence: int
    hash: str | None

    @classmethod
    def of(cls, history: Sequence[Event]) -> Head:
        """Take the head of a complete history, oldest event first."""
        newest = history[-1]
        return cls(newest.job_id, newest.sequence, newest.hash)

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``audit heads`` writes, one line for each job."""
        return {"jobId": self.job_id, "sequence": self.sequence, "hash": self.hash}

    @classmethod
    def from_json(cls, fields: Any) -> Head:
        """Read that form.

        Raises:
            InvalidRequest: it is another one.
        """
        match fields:
            case {"jobId": str(job_id), "sequence": int(sequence), "hash": str() | None as digest}:
                return cls(job_id, sequence, digest)
        raise InvalidRequest("not a line that `jobfleet audit heads` wrote")


class HeadsCheck:
    """Compares complete histories, job by job, with heads of an earlier time.

    Memory: about 300 bytes a head.

    Attributes:
        removed: heads of jobs whose history the retention has removed since; no violation.
    """

    def __init__(self, heads: Iterable[Head]) -> None:
        self._left: dict[str, Head] = {head.job_id: head for head in heads}
        self.removed = 0

    def compare(self, history: Sequence[Event]) -> list[Violation]:
        """Return what contradicts the head of this job; a job without a head contradicts none."""
        head = self._left.pop(history[-1].job_id, None) if history else None
        if head is None:
            return []
        found = next((event for event in history if event.sequence == head.sequence), None)
        if found is not None and found.hash == head.hash:
            return []
        if is_tombstone(history[-1]):
            self.removed += 1
            return []
        if found is not None:
            return [violation(found, "the hash differs from the one in the heads file")]
        message = f"event {head.sequence} of the heads file is missing"
        return [Violation(CHAIN_RULE, head.job_id, head.sequence, None, message)]

    def missing(self, *, only: str | None = None) -> list[Violation]:
        """Return a violation for each head whose job was not compared.

        Args:
            only: the one job that was read, where not all were.
        """
        message = "the job of the heads file has no row in the trail"
        return [
            Violation(CHAIN_RULE, head.job_id, head.sequence, None, message)
            for head in self._left.values()
            if only is None or head.job_id == only
        ]
