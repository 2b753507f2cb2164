"""The right to try a job, and how far it may be trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

FLEET_LOCK = "fleet/all"
RESCUER_LOCK = "fleet/rescuer"
ACTION_LOCKS = "action/"
"""Locks of actions on many jobs: the dashboard that holds one runs the action."""
WORKER_LOCKS = "worker/"
"""What the names of workers' own locks begin with."""
HANDED_LOCKS = "handed/"
"""What the names of locks begin with that count the takings of messages which no queue holds."""
SUSPECT_NOTE = "suspect"
"""In the note of a worker's lock: the job that blocked its loop until the lock was lost."""
_NUMBER = "[1-9][0-9]{0,8}"
_LOCK_NAME = re.compile(
    rf"job/[0-9a-f]{{2}}/[0-9a-f-]{{36}}|key/[0-9a-f]{{40}}(/{_NUMBER}/{_NUMBER})?"
    rf"|worker/[^\x00-\x1f\x7f-\x9f]{{1,200}}-{_NUMBER}|fleet/all"
    rf"|limit/[A-Za-z0-9_.-]{{1,100}}/{_NUMBER}"
)
LockScope = Literal["job", "worker", "fleet"]
"""On whose lock a job without a lock key rests: its own, its worker's, or the fleet's."""
MAX_SLOTS = 100
"""Limit for one lock key."""
LIMIT_LOCKS = "limit/"
"""What the names of the slots of named limits begin with."""
MAX_LIMIT_SLOTS = 1000
"""Limit for one named limit."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its owner sees it.

    Attributes:
        lock: name of the lock, which is the name of the leased blob.
        owner: worker id of the holder.
        lease_id: UUID chosen once per claim, so that a repeated acquire is the same acquire.
        trusted_until: boot-time seconds after which the owner must act as if it were lost.
    """

    lock: str
    owner: str
    lease_id: str
    trusted_until: float


def safety_margin(lease_seconds: float) -> float:
    """Seconds before the end of a lease at which trust ends: a tenth, at least 1.5 s."""
    return max(lease_seconds / 10, 1.5)


def job_lock(job_id: str) -> str:
    """Name of the lock that only this job uses; the prefix spreads names over partitions."""
    return f"job/{job_id[-2:]}/{job_id}"


def handed_lock(job_id: str) -> str:
    """Name of the lock that a worker holds while it has a message of the job which no queue holds.

    Its note counts the workers that were lost meanwhile.
    """
    return f"{HANDED_LOCKS}{job_id[-2:]}/{job_id}"


def worker_lock(worker_id: str, generation: int) -> str:
    """Name of the lock on which all jobs of a worker rest in scope ``worker``.

    A worker that loses its lock goes on under the next generation, which has a new name. Under the
    old name the jobs that it gave up would look attended for ever.
    """
    return f"{WORKER_LOCKS}{worker_id}-{generation}"


def is_worker_lock(lock: str | None) -> bool:
    """Whether this is a worker's own lock, on which many jobs rest."""
    return lock is not None and lock.startswith(WORKER_LOCKS)


def generation_of(lock: str | None, worker_id: str | None) -> int | None:
    """Return the generation of a lock of this worker, from 1; ``None`` if it is none of its own."""
    own = f"{WORKER_LOCKS}{worker_id}-"
    if worker_id is None or lock is None or not lock.startswith(own):
        return None
    number = lock[len(own) :]
    known = number.isdecimal() and number.isascii() and number[0] != "0"
    return int(number) if known else None


def outlives_jobs(lock: str) -> bool:
    """Whether the lock stays leased when a job that rests on it ends."""
    return lock == FLEET_LOCK or is_worker_lock(lock)


def key_lock(lock_key: str) -> str:
    """Name of the lock that all jobs with this lock key share; hashed, since keys are free text."""
    return f"key/{sha256(lock_key.encode()).hexdigest()[:40]}"


def key_locks(lock_key: str, slots: int) -> tuple[str, ...]:
    """Return the names of the locks of a key with ``slots`` slots; each of its jobs holds one.

    The number of slots is part of the name. With a shared name, a job that allows one beside it
    and a job that allows none could both start.
    """
    if slots == 1:
        return (key_lock(lock_key),)
    return tuple(f"{slots_prefix(lock_key, slots)}{slot}" for slot in range(1, slots + 1))


def slots_prefix(lock_key: str, slots: int) -> str:
    """What the names of a key's slots begin with, if it has several."""
    return f"{key_lock(lock_key)}/{slots}/"


def limit_lock(limit: str, slot: int) -> str:
    """Name of the lock of one slot of a named limit, from 1.

    The number of slots is not part of it: it stands in the control log, and may change while
    jobs run.
    """
    return f"{limit_prefix(limit)}{slot}"


def limit_prefix(limit: str) -> str:
    """What the names of a named limit's slots begin with."""
    return f"{LIMIT_LOCKS}{limit}/"


def slot_of(lock: str | None) -> int | None:
    """Return the number of the slot that a lock stands for, from 1; ``None`` for other locks."""
    parts = (lock or "").split("/")
    if (parts[0], len(parts)) in (("key", 4), ("limit", 3)) and parts[-1].isdecimal():
        return int(parts[-1])
    return None


def is_lock_name(lock: str) -> bool:
    """Whether a function above makes such a name for a lock on which a claim can rest."""
    return _LOCK_NAME.fullmatch(lock) is not None


def limit_of(lock: str) -> str | None:
    """Return the name of the limit that a lock is a slot of, ``None`` for other locks."""
    parts = lock.split("/")
    return parts[1] if parts[0] == "limit" and len(parts) == 3 else None  # noqa: PLR2004
