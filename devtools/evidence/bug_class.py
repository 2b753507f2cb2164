"""What a deliberate bug breaks."""

from enum import StrEnum


class BugClass(StrEnum):
    """The claim of ``CLAIMS`` that a deliberate bug of the simulation breaks."""

    ONE_OUTCOME = "one outcome"
    EVERY_JOB_ENDS = "every job ends"
    WHOLE_TRAIL = "whole trail"
    LOST_WORKERS = "lost workers"
    LIMITS = "limits"
    PAUSES = "pauses"
    SCHEDULES = "schedules"
    FLOWS = "flows"
    REMOVALS = "removals"
    MOVES = "moves"
    TWO_RELEASES = "two releases"
