"""What ``audit verify`` reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

RULES: Mapping[int, str] = {
    1: "sequences are 1 to n without a gap",
    2: "the stored state of each row is the fold of the rows up to it",
    3: "each transition is in the table",
    4: "one terminal event per incarnation; only Redriven or Dismissed after it",
    5: "epochs never fall, and rise by one, only at Started or TakenOver",
    6: "from a Started to its ending events carry its worker, but for requests from outside",
    7: "event ids are unique",
    8: "attempts never exceed the maximum, and none starts before it is due",
    9: "under one lock turns are unique and rise, and each earlier one is closed",
    10: "a completed job has a Started of the same epoch, or a Waiting",
    11: "the index holds each event once, and an open row for each job that is not terminal",
    12: "each row's hash follows from the row and from the hash of the row before",
    13: "after each end stand exactly the successors that the request asks for",
    14: "a group counts each member once, as it ended, and its marks say the same",
}
"""docs/verification.md says what a breach of each rule means."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that stored rows break.

    Attributes:
        rule: 1 to 14, see ``RULES``.
        sequence: that of the row where it shows, or the place where rows are missing.
        event_id: that row's; ``None`` if only its place is known.
    """

    rule: int
    job_id: str
    sequence: int | None
    event_id: str | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``audit verify --json`` prints."""
        return _form("rule", self)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a clock explains: reported, never counted. Fields as in a violation."""

    rule: int
    job_id: str
    sequence: int | None
    event_id: str | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``audit verify --json`` prints."""
        return _form("note", self)


def _form(name: str, found: Violation | Note) -> dict[str, Any]:
    return {
        name: found.rule,
        "jobId": found.job_id,
        "sequence": found.sequence,
        "eventId": found.event_id,
        "message": found.message,
    }


class Findings(Generic[T]):
    """Keeps the first findings and counts the rest, so that a ruined trail fits in memory."""

    def __init__(self, *, keep: int) -> None:
        self._keep = keep
        self.kept: list[T] = []
        self.left_out = 0

    def add(self, found: Iterable[T]) -> None:
        """Keep what there is room for."""
        for one in found:
            if self.is_full:
                self.left_out += 1
            else:
                self.kept.append(one)

    @property
    def is_full(self) -> bool:
        """Whether further findings are only counted."""
        return len(self.kept) >= self._keep

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self.kept) + self.left_out
