"""Deliberate bugs in the protocol, each a small patch: the simulation has to see every one."""

from __future__ import annotations

from tests.simulation.append_bugs import (
    fresh_event_id_at_each_try,
    no_epoch_check,
    refusal_means_not_written,
    refusal_means_written,
    terminal_not_absorbing,
)
from tests.simulation.claim_bugs import (
    copies_live_on,
    missing_handler_fails_at_once,
    never_waits_longer,
    suspects_beside_others,
    waits_again_at_once,
    waits_without_a_bound,
)
from tests.simulation.core_bugs import OF_A_CORE
from tests.simulation.emphases import (
    BAD_WEATHER,
    CRASHES,
    FEW_PROCESSES,
    KILLER,
    LATE,
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
from tests.simulation.hash_bugs import (
    hash_of_a_stale_row,
    hash_of_another_event_1,
    old_row_changed,
    tail_written_anew,
)
from tests.simulation.known import Known
from tests.simulation.lifecycle_bugs import a_step_named_as_lifecycle_event
from tests.simulation.limit_bugs import (
    limits_read_once,
    number_is_part_of_the_slot,
    slot_kept_after_a_takeover,
    slots_given_back_too_early,
)
from tests.simulation.lock_bugs import (
    claim_after_an_unclear_release,
    fleet_trust_by_hearsay,
    late_note_accepted,
    predecessor_not_fenced,
    trust_checked_before_the_read,
)
from tests.simulation.loss_bugs import a_claim_without_the_limit, a_lone_takeover
from tests.simulation.move_bugs import OF_MOVES
from tests.simulation.pause_bugs import (
    a_claim_heeds_no_pause,
    a_restart_resumes,
    an_old_look_counts_for_ever,
    the_resume_publishes,
)
from tests.simulation.place_bugs import put_off_whoever_runs_it
from tests.simulation.rate_bugs import a_row_written_without_a_look, rate_counted_at_admission
from tests.simulation.removal_bugs import removed_right_after_its_seal, removed_without_a_seal
from tests.simulation.rescue_bugs import taken_over_by_an_old_look
from tests.simulation.schedule_bugs import (
    a_deployment_resumes,
    fired_whatever_stands_meanwhile,
    operators_do_not_settle,
    submitted_before_the_entry,
    ticks_from_the_wall_clock,
    two_leaders_fire_one_tick,
)
from tests.simulation.scope_bugs import (
    given_up_in_silence,
    lost_lease_taken_again,
    running_on_the_own_lock_means_lost,
    trust_not_checked_before_the_insert,
)
from tests.simulation.skew_bugs import OF_TWO_RELEASES
from tests.simulation.slot_bugs import (
    limit_exceeded_after_a_takeover,
    slot_leaked_by_a_crash,
    slot_released_twice,
    stale_note_of_another_slot,
)
from tests.simulation.submission_bugs import OF_SUBMITS

_TWICE = r"stands \d+ times"
_ROBBED = "which lives and trusts its lease"
_NOT_LEASED = "is claimed by .* which is not leased"
_FOR_EVER = "for ever"

BY_DESIGN = (
    Known("no epoch check", no_epoch_check, 351, shows="the result of epoch"),
    Known('refusal read as "not written"', refusal_means_not_written, 14, MANY_LATE, shows=_TWICE),
    Known(
        'refusal read as "written"',
        refusal_means_written,
        1,
        shows="the timeline shows an event that job",
    ),
    Known("a fresh event id at each try", fresh_event_id_at_each_try, 3, MANY_LATE, shows=_TWICE),
    Known(
        "open row removed before the terminal event",
        open_row_removed_first,
        17,
        CRASHES,
        shows=_FOR_EVER,
    ),
    Known("terminal state not absorbing", terminal_not_absorbing, 4, shows="Started after"),
    Known(
        "predecessor under a lock key not fenced",
        predecessor_not_fenced,
        11,
        BAD_WEATHER | ONE_LOCK,
        shows="runs beside",
    ),
    Known(
        "trust checked before the read",
        trust_checked_before_the_read,
        598,
        BAD_WEATHER | ONE_LOCK,
        shows=_ROBBED,
    ),
)
"""The design names seven; the two readings of a refusal count as one there."""

_HASHES = "^rule 12|^heads"
BY_THE_HASHES = (
    Known(
        "an event chained to a row known before the newest", hash_of_a_stale_row, 1, shows=_HASHES
    ),
    Known("a message with the hash of another event 1", hash_of_another_event_1, 3, shows=_HASHES),
    Known("an old row's message changed", old_row_changed(message="?"), 0, shows=_HASHES),
    Known(
        "an old row's result changed",
        old_row_changed(data={"result": {"epoch": 1}, "more": 0}),
        0,
        shows=_HASHES,
    ),
    Known("an old row's duration changed", old_row_changed(duration_ms=0), 0, shows=_HASHES),
    Known("a tail written anew with hashes that fit", tail_written_anew, 0, shows="^heads"),
)
"""What the hash chain has to show, and the heads of an earlier time."""

BY_THE_SIMULATION = (
    Known(
        "open row removed though the callback job was not submitted",
        callback_left_behind,
        225,
        CRASHES | NOTHING_ELSE | {"fault_rate": 0.3, "clock_steps": True},
        shows="has no callback job",
    ),
    Known(
        "a late note of a lock covers a newer one",
        late_note_accepted,
        5,
        MANY_LATE | {"fleet_scope": True},
        shows="^rule 9",
    ),
    Known(
        "the fleet's lease trusted without a look at the clock",
        fleet_trust_by_hearsay,
        16,
        BAD_WEATHER | {"fleet_scope": True, "fault_rate": 0.05},
        shows=_ROBBED,
    ),
    Known(
        "claimed again under a lease id whose release is unclear",
        claim_after_an_unclear_release,
        19,
        LATE | NOTHING_ELSE | ONE_LOCK | {"fault_rate": 0.35, "lease_seconds": 15, "jobs": 12},
        shows=f"{_ROBBED}|{_NOT_LEASED}",
    ),
    Known(
        "a job failed by a worker that lacks its type, beside one that has it",
        missing_handler_fails_at_once,
        1,
        {"lacking": 1},
        shows="failed though a worker has its type",
    ),
    Known(
        "a result taken for a later incarnation's",
        token_not_checked,
        57,
        shows="the result of an earlier incarnation",
    ),
    Known(
        "a job blamed for a neighbour that kills its workers",
        suspects_beside_others,
        0,
        KILLER,
        shows="though one |is blamed for",
    ),
    Known(
        "a request denied that was sent",
        sent_and_denied,
        505,
        MANY_LATE | NOTHING_ELSE | {"clock_steps": True},
        shows="denies that",
    ),
    Known(
        "copies of a message live beside each other",
        copies_live_on,
        3,
        PUT_OFF,
        shows="were under way at once",
    ),
    Known(
        "a history removed without a seal",
        removed_without_a_seal,
        0,
        OLD,
        shows="is missing; event",
    ),
    Known(
        "a history removed right after its seal",
        removed_right_after_its_seal,
        363,
        OLD | LATE,
        shows="was written after its removal|no lone tombstone",
    ),
)
"""Once they were real: the simulation found them in this code, and must find them again."""

_RECURRING = {"schedules": True, "clock_steps": False, "retention_seconds": None}
_RECURRING_AND_STALLED = _RECURRING | BAD_WEATHER
_NO_RESUME = "(?i)pause"

OF_SCHEDULES = (
    Known(
        "a tick's job made before its entry",
        submitted_before_the_entry,
        8,
        _RECURRING_AND_STALLED,
        shows="no entry stands for it",
    ),
    Known(
        "an operator's entry hides an unfinished tick",
        operators_do_not_settle,
        40,
        _RECURRING_AND_STALLED | {"crash_rate": 0.02},
        shows="was never made",
    ),
    Known(
        "ticks counted from the wall clock",
        ticks_from_the_wall_clock,
        0,
        _RECURRING,
        shows="^schedule",
    ),
    Known(
        "two leaders fire one tick",
        two_leaders_fire_one_tick,
        0,
        _RECURRING,
        shows="^schedule|no entry stands for it",
    ),
    Known("a deployment resumes a pause", a_deployment_resumes, 19, _RECURRING, shows=_NO_RESUME),
    Known(
        "a tick fired on top of a pause",
        fired_whatever_stands_meanwhile,
        22,
        _RECURRING_AND_STALLED,
        shows=_NO_RESUME,
    ),
)
"""Faults of other schedulers."""

_SLOTS = ONE_LOCK | {"lock_slots": 2}
_SLOTS_IN_BAD_WEATHER = _SLOTS | BAD_WEATHER | {"stall_rate": 0.01}

_LIMITED = BAD_WEATHER | {
    "limits": True,
    "jobs": 9,
    "fleet_scope": False,
    "clock_steps": False,
    "retention_seconds": None,
    "stall_rate": 0.01,
}
_RATED = BAD_WEATHER | {
    "rate": "6/minute",
    "jobs": 9,
    "fleet_scope": False,
    "clock_steps": False,
    "stall_rate": 0.01,
}

OF_LIMITS = (
    Known(
        "a stale note of another slot believed by its epoch",
        stale_note_of_another_slot,
        51,
        _SLOTS,
        shows=_ROBBED,
    ),
    Known(
        "the number of slots is part of a named limit's slot",
        number_is_part_of_the_slot,
        0,
        _LIMITED,
        shows="^job .* #",
    ),
    Known(
        "one of two slots kept after a takeover",
        slot_kept_after_a_takeover,
        7,
        _LIMITED,
        shows="runs beside .* in ",
    ),
    Known(
        "a worker goes by the limits of its start",
        limits_read_once,
        2,
        _LIMITED,
        shows="jobs run under limit|^job .* #",
    ),
    Known(
        "slots of a limit given back before the handler runs",
        slots_given_back_too_early,
        0,
        _LIMITED,
        shows=_ROBBED,
    ),
    Known(
        "a slot of a limit leaked by a crash",
        slot_leaked_by_a_crash,
        1,
        _LIMITED | {"lock_keys": 1, "lock_slots": 1},
        shows=_FOR_EVER,
    ),
    Known("a rate counted at admission", rate_counted_at_admission, 8, _RATED, shows=": rate "),
    Known(
        "a rate's row written without a look",
        a_row_written_without_a_look,
        20,
        _RATED,
        shows=": rate ",
    ),
    Known(
        "a slot leaked by a crash",
        slot_leaked_by_a_crash,
        0,
        _SLOTS_IN_BAD_WEATHER,
        shows=_FOR_EVER,
    ),
    Known("a slot released twice", slot_released_twice, 138, _SLOTS_IN_BAD_WEATHER, shows=_ROBBED),
    Known(
        "a limit exceeded after a takeover",
        limit_exceeded_after_a_takeover,
        1,
        _SLOTS_IN_BAD_WEATHER,
        shows=_ROBBED,
    ),
)
"""Faults of other systems' limits."""

_CROWDED = KILLER | {"crowded": True, "workers": 1}
OF_SUSPECTS = (
    Known(
        "a suspect waits without a bound",
        waits_without_a_bound,
        0,
        _CROWDED,
        shows="kept its slots for a suspect",
    ),
    Known(
        "a suspect waits again at once",
        waits_again_at_once,
        0,
        _CROWDED,
        shows="reserved its slots again",
    ),
    Known(
        "a suspect never waits longer than at first",
        never_waits_longer,
        1,
        _CROWDED,
        shows="starved beside a crowd",
    ),
)
"""Ways to keep slots empty, or a suspect from its turn."""

OF_PROCESSES = (
    Known(
        "put off for want of a process, whoever runs it",
        put_off_whoever_runs_it,
        2,
        FEW_PROCESSES,
        shows="wrote in the epoch of worker",
    ),
)
"""Jobs that find no free process."""

OF_RESCUES = (
    Known(
        "a takeover by an old look, written behind the job's end",
        taken_over_by_an_old_look,
        330,
        BAD_WEATHER
        | NOTHING_ELSE
        | {
            "fault_rate": 0.15,
            "jobs": 12,
            "stall_rate": 0.05,
            "lease_seconds": 15,
            "fleet_scope": False,
        },
        shows="after the job ended",
    ),
)
"""Jobs taken from a worker that is thought to be lost."""

_ONCE = BAD_WEATHER | {"once": 1.0, "stall_rate": 0.02, "lock_keys": 1}
OF_LOSSES = (
    Known("a lone takeover", a_lone_takeover, 4, _ONCE, shows="may not start again"),
    Known(
        "a claim without the job's limit of lost workers",
        a_claim_without_the_limit,
        4,
        _ONCE,
        shows="may not start again",
    ),
)
"""Jobs that run twice though they must not."""

_PAUSING = {"pauses": True, "clock_steps": False, "retention_seconds": None}
_STALLED = _PAUSING | BAD_WEATHER
_STARTED = "started at .* was paused"
OF_PAUSES = (
    Known(
        "the resuming command publishes, and is lost",
        the_resume_publishes,
        3,
        _PAUSING,
        shows=_FOR_EVER,
    ),
    Known(
        "a restart or a deployment resumes a pause", a_restart_resumes, 2, _STALLED, shows=_STARTED
    ),
    Known(
        "a claim heeds no pause, only consuming does",
        a_claim_heeds_no_pause,
        3,
        _PAUSING,
        shows=_STARTED,
    ),
    Known(
        "a worker that slept goes by an old look at the pauses",
        an_old_look_counts_for_ever,
        170,
        _STALLED,
        shows=_STARTED,
    ),
)
"""Faults of pauses elsewhere."""

OF_READING = (
    Known(
        "a step named as the lifecycle event before",
        a_step_named_as_lifecycle_event,
        0,
        shows="lifecycle_before",
    ),
)
"""Rows that would lead readers astray."""

_WORKER_SCOPE = {"worker_scope": 1.0, "fleet_scope": False, "lacking": 0, "rate": None}
_LOSSES = _WORKER_SCOPE | BAD_WEATHER

OF_SCOPE_WORKER = (
    Known(
        "a lost lease taken again under its old name",
        lost_lease_taken_again,
        26,
        _LOSSES,
        shows=_FOR_EVER,
    ),
    Known(
        "a job given up under a live worker's lock",
        given_up_in_silence,
        3,
        _WORKER_SCOPE | {"own_errors": 0.2},
        shows=_FOR_EVER,
    ),
    Known(
        "a worker's trust not checked between read and insert",
        trust_not_checked_before_the_insert,
        3,
        _LOSSES | {"jobs": 12, "limits": False},
        shows=_NOT_LEASED,
    ),
    Known(
        "a job that runs on the worker's own lock taken for lost",
        running_on_the_own_lock_means_lost,
        3,
        _LOSSES,
        shows=_ROBBED,
    ),
)
"""Faults of one lock for many jobs."""

__all__ = ["OF_A_CORE", "OF_ERASURES", "OF_FLOWS", "OF_MOVES", "OF_SUBMITS", "OF_TWO_RELEASES"]
