"""How often the rescuer publishes one job again while nothing changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Pace(Enum):
    """First wait since the row last changed, and first pause between repeats; seconds."""

    AT_ONCE = (0.0, 10.0)
    OVERDUE = (60.0, 60.0)
    PUT_OFF = (600.0, 600.0)
    GROUP = (30.0, 30.0)
    PAUSED = (300.0, 300.0)
    QUIET = (3600.0, 3600.0)


LONGEST_PAUSE = 900.0
LONGEST_QUIET_PAUSE = 86_400.0
LOOK_AGAIN_SECONDS = 10.0


@dataclass(slots=True)
class _Entry:
    next_at: float
    pause: float


class RepublishPace:
    """Remembers, per unchanged row, when it may be published next.

    Pauses double to 15 minutes; those of quiet rows, which begin with an hour, to a day.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int, int, Pace], _Entry] = {}

    def allows(
        self, row: tuple[str, int, int], pace: Pace, *, unchanged_for: float, now: float
    ) -> bool:
        """Whether the row (job, incarnation, sequence) is to be seen to now; counts as done.

        Each pace counts for itself: a row that becomes more or less urgent begins anew.

        Args:
            unchanged_for: seconds since the row changed, or since the job was due.
            now: boot-time seconds.
        """
        first_wait, first_pause = pace.value
        key = (*row, pace)
        entry = self._entries.get(key)
        if entry is None:
            if unchanged_for < first_wait:
                return False
            self._entries[key] = _Entry(now + first_pause, first_pause)
            return True
        if now < entry.next_at:
            return False
        longest = LONGEST_PAUSE if first_wait < LONGEST_PAUSE else LONGEST_QUIET_PAUSE
        entry.pause = min(entry.pause * 2, longest)
        entry.next_at = now + entry.pause
        return True

    def undo(self, row: tuple[str, int, int], pace: Pace, *, now: float) -> None:
        """It could not be published: the broker's absence does not lengthen the pauses."""
        _, first_pause = pace.value
        self._entries[(*row, pace)] = _Entry(now, first_pause / 2)

    def look_again(self, row: tuple[str, int, int], pace: Pace, *, now: float) -> None:
        """Storage did not answer about it: no reason for longer pauses either.

        Others are seen to before: this row alone may be the one that storage cannot answer about.
        """
        self._entries[(*row, pace)] = _Entry(now + LOOK_AGAIN_SECONDS, pace.value[1] / 2)

    def forget_before(self, moment: float) -> None:
        """Drop what has not come up again for two of its pauses."""
        stale = [key for key, e in self._entries.items() if e.next_at + 2 * e.pause < moment]
        for key in stale:
            del self._entries[key]
