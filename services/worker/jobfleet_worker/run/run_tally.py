"""What a worker has run since it started, for its heartbeats."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import FENCED, MOST_RECENT_RUNS, EndedRun

_FAILED = frozenset({State.RETRYING, State.FAILED, State.TIMED_OUT})


class RunTally:
    """Counts attempts that have left their slots, and remembers the last 20 of them."""

    def __init__(self) -> None:
        self.runs = self.failures = self.fenced = 0
        self._recent: deque[EndedRun] = deque(maxlen=MOST_RECENT_RUNS)

    @property
    def recent(self) -> tuple[EndedRun, ...]:
        """The last attempts, newest first."""
        return tuple(reversed(self._recent))

    def note(
        self, head: Event, ended: Event | None, *, started_at: datetime, ended_at: datetime
    ) -> None:
        """Count an attempt.

        Args:
            head: the newest event that the attempt has written or read.
            ended: the event that tells its end; ``None`` if the trail did not take one.
        """
        self.runs += 1
        self.failures += ended is not None and ended.after.state in _FAILED
        self.fenced += ended is None
        self._recent.append(
            EndedRun(
                job_id=head.job_id,
                job_name=head.facts.job_name,
                job_type=head.facts.job_type,
                attempt=head.after.attempt,
                started_at=started_at,
                ended_at=ended_at,
                ended=FENCED if ended is None else ended.after.state.value,
            )
        )
