"""What a deliberate bug breaks."""

from enum import StrEnum


class BugClass(StrEnum):
    """The claim of ``CLAIMS`` that a deliberate bug breaks."""

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
    ONE_JOB_A_KEY = "one job a key"
    OWN_TRANSACTION = "own transaction"
    ALIKE_BACKENDS = "alike backends"
    POWER_LOSS = "power loss"
    ONE_EFFECT_A_KEY = "one effect a key"
    TWO_RELEASES = "two releases"
