"""What keeps a job beside others: the lock key, limits and rates that it holds or waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobfleet_contracts.codec import decode, encode_text
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import FLEET_LOCK, key_lock, limit_of, slot_of
from jobfleet_contracts.state import State, Status

LOCK_KEY, LIMIT, RATE, FLEET = "lockKey", "limit", "rate", "fleet"


@dataclass(frozen=True, slots=True)
class JobLock:
    """One of them.

    Attributes:
        kind: ``lockKey``, ``limit``, ``rate`` or ``fleet``.
        name: the lock key, or the name of the limit or rate; empty for the fleet's lock, and for
            a lock key that the handler declares.
        slot: which of several slots it holds, from 1; ``None`` if there is one only.
    """

    kind: str
    name: str
    slot: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        return {"kind": self.kind, "name": masked_text(self.name), "slot": self.slot}

    @property
    def text(self) -> str:
        """It for people, without credentials."""
        return lock_text(self.to_json())


@dataclass(frozen=True, slots=True)
class JobLocks:
    """Those that a running job holds, or the one that a deferred job waits for."""

    holds: tuple[JobLock, ...] = ()
    waits_for: JobLock | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form of REST API and command line."""
        return {
            "holds": [lock.to_json() for lock in self.holds],
            "waitsFor": None if self.waits_for is None else self.waits_for.to_json(),
        }


NO_LOCKS = JobLocks()


def lock_text(lock: Mapping[str, Any]) -> str:
    """Return a lock of REST API and command line for people: ``lock customer-7, slot 2``."""
    words = {LOCK_KEY: "lock", FLEET: "the fleet's lock"}.get(lock["kind"], lock["kind"])
    named = f"{words} {lock['name']}".rstrip()
    return named if lock["slot"] is None else f"{named}, slot {lock['slot']}"


def locks_after(event: Event) -> JobLocks:
    """Return what a job holds or waits for after its newest event."""
    state = event.after.state
    if state is State.RUNNING:
        return JobLocks(holds=tuple(_held(event)))
    if state is State.DEFERRED and event.is_readable and event.kind is Status.DEFERRED:
        return JobLocks(waits_for=_waited_for(event))
    return NO_LOCKS


def locks_to_text(locks: JobLocks) -> str | None:
    """Return the form that an index holds, ``None`` for nothing."""
    if locks == NO_LOCKS:
        return None
    waits = locks.waits_for
    return encode_text([[_fields(lock) for lock in locks.holds], waits and _fields(waits)])


def locks_of_text(text: str | None) -> JobLocks:
    """Read that form.

    Raises:
        ValueError: it is another one.
    """
    if text is None:
        return NO_LOCKS
    try:
        holds, waits = decode(text)
        return JobLocks(tuple(JobLock(*each) for each in holds), JobLock(*waits) if waits else None)
    except (InvalidRequest, TypeError) as error:
        raise ValueError(f"locks cannot be read: {error}") from error


def _held(event: Event) -> Iterator[JobLock]:
    for lock in (event.after.lock, *(held.lock for held in event.after.locks)):
        if lock == FLEET_LOCK:
            yield JobLock(FLEET, "")
        elif lock is not None and lock.startswith("key/"):
            yield JobLock(LOCK_KEY, _key_of(lock, event.facts.lock_key), slot_of(lock))
        elif lock is not None and (limit := limit_of(lock)) is not None:
            yield JobLock(LIMIT, limit, slot_of(lock))


def _key_of(lock: str, lock_key: str | None) -> str:
    """Return the job's own key; names of locks are hashed, so a handler's key is not known."""
    is_own = lock_key is not None and lock.startswith(key_lock(lock_key))
    return lock_key if lock_key is not None and is_own else ""


def _waited_for(event: Event) -> JobLock | None:
    reason = event.data.get("reason")
    if reason == "lock":
        key = event.data.get("lock", event.facts.lock_key)
        return JobLock(LOCK_KEY, key) if isinstance(key, str) else None
    name = event.data.get(reason) if reason in (LIMIT, RATE) else None
    return JobLock(str(reason), name) if isinstance(name, str) else None


def _fields(lock: JobLock) -> list[Any]:
    return [lock.kind, lock.name, lock.slot]
