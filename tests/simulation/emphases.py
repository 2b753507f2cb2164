"""Fields of the scenario that make a rare accident come often enough."""

from __future__ import annotations

MANY_FAULTS = {"fault_rate": 0.1, "stall_rate": 0.03, "operator_action_seconds": 15}
UNCLEAR = dict.fromkeys(("lost before", "lost after", "twice", "twice late", "slow"), 0.1)
LATE = {"fault_rate": 0.15, "weights": {**UNCLEAR, "late": 3, "slow": 1}}
PLAIN = {
    "lacking": 0,
    "killers": 0,
    "pauses": False,
    "schedules": False,
    "lock_slots": 1,
    "rate": None,
    "limits": False,
    "full_limit": False,
    "chains": 0.0,
    "groups": 0,
    "group_cancels": 0.0,
    "left_behind": 0.0,
    "nested_groups": 0.0,
    "member_erasures": 0.0,
    "processes": None,
    "impatient": 0.0,
    "stale_connections": False,
    "retention_seconds": None,
    "clock_steps": False,
    "moved": False,
    "other_bodies": 0.0,
    "one_database": False,
    "deadly": 0,
    "counts_losses": False,
    "deadly_in_pause": False,
    "eager_redrives": False,
}
NOTHING_ELSE = PLAIN | {
    "moved": False,
    "erasures": 0.0,
    "core_only": False,
    "groups": 0,
    "processes": None,
    "old_workers": 0,
    "crowded": False,
    "once": 0.0,
    "worker_scope": 0.0,
}
MANY_LATE = LATE | PLAIN | {"jobs": 12, "fault_rate": 0.3}
CRASHES = PLAIN | {"fault_rate": 0.1, "crash_rate": 0.02, "jobs": 9, "worker_scope": 0.0}
ONE_LOCK = {"fleet_scope": False, "lock_keys": 1, "jobs": 9}
SLEEP = {
    "lease_seconds": 60,
    "stall_rate": 0.1,
    "fault_rate": 0.05,
    "fault_seconds": 400,
    "operator_action_seconds": 15,
    "clock_steps": False,
    "apis": 1,
    "jobs": 9,
    "stale_connections": True,
    "impatient": 1.0,
    "lacking": 0,
    "schedules": False,
    "retention_seconds": None,
    "one_database": False,
}
KILLER = {"killers": 1, "concurrency": 4, "workers": 2, "lacking": 0, "fleet_scope": False}
PUT_OFF = {
    "rate": "6/minute",
    "workers": 4,
    "lacking": 3,
    "jobs": 9,
    "fleet_scope": False,
    "stale_connections": True,
    "fault_rate": 0.1,
    "retention_seconds": None,
    "crowded": False,
    "killers": 0,
}
OLD = {"retention_seconds": 240.0, "fault_seconds": 500.0, "clock_steps": False}
MOVED = {"moved": True, "clock_steps": False}
LATE_AND_MOVED = (
    PLAIN
    | MOVED
    | LATE
    | {
        "fault_rate": 0.3,
        "jobs": 14,
        "lease_seconds": 60,
        "fleet_scope": False,
        "concurrency": 4,
        "workers": 4,
    }
)
_FEW = {"processes": 1, "concurrency": 3, "fleet_scope": False, "jobs": 9, "workers": 3}
FEW_PROCESSES = MANY_FAULTS | PLAIN | _FEW
ONE_DATABASE = {"one_database": True, "fault_rate": 0.1}
