"""All deliberate bugs: each is a small patch of the code under test, and no run may pass with it.

Here stand the bugs that the design names, and those that were real. Each other table stands beside
its patches, in the file of its reason.
"""

from __future__ import annotations

from devtools.evidence.bug_class import BugClass
from tests.simulation.append_bugs import (
    fresh_event_id_at_each_try,
    no_epoch_check,
    refusal_means_not_written,
    refusal_means_written,
    terminal_not_absorbing,
)
from tests.simulation.claim_bugs import (
    OF_SUSPECTS,
    copies_live_on,
    missing_handler_fails_at_once,
    suspects_beside_others,
)
from tests.simulation.core_bugs import OF_A_CORE
from tests.simulation.deadly_bugs import OF_DEADLY_MESSAGES
from tests.simulation.emphases import (
    CRASHES,
    KILLER,
    LATE,
    MANY_FAULTS,
    MANY_LATE,
    NOTHING_ELSE,
    OLD,
    ONE_LOCK,
    PUT_OFF,
)
from tests.simulation.ending_bugs import (
    callback_left_behind,
    open_row_removed_first,
    sent_and_denied,
    token_not_checked,
)
from tests.simulation.erasure_bugs import OF_ERASURES
from tests.simulation.group_bugs import OF_FLOWS
from tests.simulation.hash_bugs import BY_THE_HASHES
from tests.simulation.key_bugs import OF_KEYS
from tests.simulation.known import FOR_EVER, NOT_LEASED, ROBBED, Known
from tests.simulation.lifecycle_bugs import OF_READING
from tests.simulation.limit_bugs import OF_LIMITS
from tests.simulation.lock_bugs import (
    claim_after_an_unclear_release,
    fleet_trust_by_hearsay,
    late_note_accepted,
    predecessor_not_fenced,
    trust_checked_before_the_read,
)
from tests.simulation.loss_bugs import OF_LOSSES
from tests.simulation.move_bugs import OF_MOVES
from tests.simulation.pause_bugs import OF_PAUSES
from tests.simulation.place_bugs import OF_PROCESSES
from tests.simulation.rate_bugs import OF_RATES
from tests.simulation.removal_bugs import removed_right_after_its_seal, removed_without_a_seal
from tests.simulation.rescue_bugs import OF_RESCUES
from tests.simulation.schedule_bugs import OF_SCHEDULES
from tests.simulation.scope_bugs import OF_SCOPE_WORKER
from tests.simulation.skew_bugs import OF_TWO_RELEASES
from tests.simulation.slot_bugs import OF_SLOTS
from tests.simulation.submission_bugs import OF_SUBMITS

_TWICE = r"stands \d+ times"

BY_DESIGN = (
    Known(
        "no epoch check",
        no_epoch_check,
        351,
        breaks=BugClass.ONE_OUTCOME,
        shows="the result of epoch",
    ),
    Known(
        'refusal read as "not written"',
        refusal_means_not_written,
        14,
        MANY_LATE,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_TWICE,
    ),
    Known(
        'refusal read as "written"',
        refusal_means_written,
        1,
        breaks=BugClass.WHOLE_TRAIL,
        shows="the timeline shows an event that job",
    ),
    Known(
        "a fresh event id at each try",
        fresh_event_id_at_each_try,
        31,
        MANY_LATE,
        breaks=BugClass.WHOLE_TRAIL,
        shows=_TWICE,
    ),
    Known(
        "open row removed before the terminal event",
        open_row_removed_first,
        58,
        CRASHES,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=FOR_EVER,
    ),
    Known(
        "terminal state not absorbing",
        terminal_not_absorbing,
        4,
        breaks=BugClass.ONE_OUTCOME,
        shows="Started after",
    ),
    Known(
        "predecessor under a lock key not fenced",
        predecessor_not_fenced,
        11,
        MANY_FAULTS | ONE_LOCK,
        breaks=BugClass.ONE_OUTCOME,
        shows="runs beside",
    ),
    Known(
        "trust checked before the read",
        trust_checked_before_the_read,
        430,
        MANY_FAULTS | ONE_LOCK,
        breaks=BugClass.ONE_OUTCOME,
        shows=ROBBED,
    ),
)
"""The design names seven; the two readings of a refusal count as one there."""


BY_THE_SIMULATION = (
    Known(
        "open row removed though the callback job was not submitted",
        callback_left_behind,
        225,
        CRASHES | NOTHING_ELSE | {"fault_rate": 0.3, "clock_steps": True},
        breaks=BugClass.FLOWS,
        shows="has no callback job",
    ),
    Known(
        "a late note of a lock covers a newer one",
        late_note_accepted,
        1,
        MANY_LATE | {"fleet_scope": True},
        breaks=BugClass.ONE_OUTCOME,
        shows="^rule 9",
    ),
    Known(
        "the fleet's lease trusted without a look at the clock",
        fleet_trust_by_hearsay,
        16,
        MANY_FAULTS | {"fleet_scope": True, "fault_rate": 0.05},
        breaks=BugClass.ONE_OUTCOME,
        shows=ROBBED,
    ),
    Known(
        "claimed again under a lease id whose release is unclear",
        claim_after_an_unclear_release,
        19,
        LATE | NOTHING_ELSE | ONE_LOCK | {"fault_rate": 0.35, "lease_seconds": 15, "jobs": 12},
        breaks=BugClass.ONE_OUTCOME,
        shows=f"{ROBBED}|{NOT_LEASED}",
    ),
    Known(
        "a job failed by a worker that lacks its type, beside one that has it",
        missing_handler_fails_at_once,
        1,
        {"lacking": 1},
        breaks=BugClass.TWO_RELEASES,
        shows="failed though a worker has its type",
    ),
    Known(
        "a result taken for a later incarnation's",
        token_not_checked,
        59,
        breaks=BugClass.ONE_OUTCOME,
        shows="the result of an earlier incarnation",
    ),
    Known(
        "a job blamed for a neighbour that kills its workers",
        suspects_beside_others,
        0,
        KILLER,
        breaks=BugClass.LOST_WORKERS,
        shows="though one |is blamed for",
    ),
    Known(
        "a request denied that was sent",
        sent_and_denied,
        543,
        MANY_LATE | NOTHING_ELSE | {"clock_steps": True},
        breaks=BugClass.WHOLE_TRAIL,
        shows="denies that",
    ),
    Known(
        "copies of a message live beside each other",
        copies_live_on,
        11,
        PUT_OFF,
        breaks=BugClass.ONE_OUTCOME,
        shows="were under way at once",
    ),
    Known(
        "a history removed without a seal",
        removed_without_a_seal,
        0,
        OLD,
        breaks=BugClass.REMOVALS,
        shows="is missing; event",
    ),
    Known(
        "a history removed right after its seal",
        removed_right_after_its_seal,
        363,
        OLD | LATE,
        breaks=BugClass.REMOVALS,
        shows="was written after its removal|no lone tombstone",
    ),
)
"""Once they were real: the simulation found them in this code, and must find them again."""


def every_bug() -> list[Known]:
    """Return the bugs of all tables."""
    return [known for name in __all__ if name.isupper() for known in globals()[name]]


__all__ = [
    "BY_DESIGN",
    "BY_THE_HASHES",
    "BY_THE_SIMULATION",
    "OF_A_CORE",
    "OF_DEADLY_MESSAGES",
    "OF_ERASURES",
    "OF_FLOWS",
    "OF_KEYS",
    "OF_LIMITS",
    "OF_LOSSES",
    "OF_MOVES",
    "OF_PAUSES",
    "OF_PROCESSES",
    "OF_RATES",
    "OF_READING",
    "OF_RESCUES",
    "OF_SCHEDULES",
    "OF_SCOPE_WORKER",
    "OF_SLOTS",
    "OF_SUBMITS",
    "OF_SUSPECTS",
    "OF_TWO_RELEASES",
    "every_bug",
]
