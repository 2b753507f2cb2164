"""Rule 9 over the whole trail: who had which turn under which shared lock, and was it closed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from jobfleet_protocol.audit.violation import Note, Violation

_FIELDS = 5
_OPEN = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Claim:
    """One ``Started`` under a shared lock.

    Attributes:
        closed_at: time of the row that ended the attempt (an ending, ``Waiting``, ``Deferred``,
            ``AttemptFailed`` or ``TakenOver``); ``None`` while it runs.
    """

    lock: str
    turn: int
    job_id: str
    sequence: int
    started_at: datetime
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, order=True)
class _Record:
    """A claim as five integers: 40 bytes; times in microseconds since 1970."""

    turn: int
    job: int
    sequence: int
    started: int
    closed: int


class TurnLedger:
    """Collects claims of all jobs. Memory: 40 bytes a claim, about 250 a lock and a job."""

    def __init__(self) -> None:
        self._locks: dict[str, array[int]] = {}
        self._jobs: list[str] = []

    def add(self, claims: Iterable[Claim]) -> None:
        """Take the claims of one job."""
        for claim in claims:
            if not self._jobs or self._jobs[-1] != claim.job_id:
                self._jobs.append(claim.job_id)
            self._locks.setdefault(claim.lock, array("q")).extend(
                (
                    claim.turn,
                    len(self._jobs) - 1,
                    claim.sequence,
                    _microseconds(claim.started_at),
                    _OPEN if claim.closed_at is None else _microseconds(claim.closed_at),
                )
            )

    def doubtful(self) -> list[str]:
        """Return jobs whose turn looks open though a later one stands.

        In a living fleet it may have been closed since its job was read: read it again.
        """
        pairs = (pair for lock in self._locks for pair in pairwise(self._turns(lock)))
        return sorted({self._jobs[early.job] for early, _ in pairs if early.closed == _OPEN})

    def close(self, claims: Iterable[Claim]) -> None:
        """Close those of these claims, read again, that were collected as open."""
        for claim in claims:
            if claim.closed_at is not None:
                self._close(claim, _microseconds(claim.closed_at))

    def violations(self) -> Iterator[Violation]:
        """Yield turns taken twice, and turns left open before a later one."""
        for lock in self._locks:
            for early, late in pairwise(self._turns(lock)):
                if early.turn == late.turn:
                    yield self._violation(late, f"turn {late.turn} of {lock} is", "taken by", early)
                elif early.closed == _OPEN:
                    then = f"not closed, though turn {late.turn} was taken by"
                    yield self._violation(early, f"turn {early.turn} of {lock} is", then, late)

    def notes(self) -> Iterator[Note]:
        """Yield turns that began before the clock of the one before says that it was over."""
        for lock in self._locks:
            for early, late in pairwise(self._turns(lock)):
                overlap = early.closed - late.started
                if early.closed != _OPEN and early.turn != late.turn and overlap > 0:
                    yield Note(
                        9,
                        self._jobs[late.job],
                        late.sequence,
                        None,
                        f"turn {late.turn} of {lock} began {overlap / 1e6:.6f} s before the end of "
                        f"turn {early.turn} (job {self._jobs[early.job]}) by their clocks",
                    )

    def _turns(self, lock: str) -> list[_Record]:
        fields = iter(self._locks[lock])
        return sorted(_Record(*row) for row in zip(*[fields] * _FIELDS, strict=True))

    def _close(self, claim: Claim, closed: int) -> None:
        rows = self._locks.get(claim.lock, array("q"))
        for start in range(0, len(rows), _FIELDS):
            turn, job, sequence = rows[start : start + 3]
            if (turn, self._jobs[job], sequence) == (claim.turn, claim.job_id, claim.sequence):
                rows[start + _FIELDS - 1] = closed

    def _violation(self, at: _Record, what: str, how: str, other: _Record) -> Violation:
        message = f"{what} {how} job {self._jobs[other.job]}, event {other.sequence}"
        return Violation(9, self._jobs[at.job], at.sequence, None, message)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
