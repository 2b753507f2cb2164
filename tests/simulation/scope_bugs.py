"""Deliberate bugs in scope ``worker``, where many jobs rest on one lock that its worker keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import Lease, is_worker_lock
from jobfleet_contracts.state import State
from jobfleet_protocol.claiming.lock_leases import LastingLease, new_lease_id
from jobfleet_protocol.claiming.lock_views import LockViews
from jobfleet_protocol.claiming.trail_claim import TrailClaim
from jobfleet_worker.run.give_back import GiveBack
from jobfleet_worker.run.worker_lock import WorkerLock
from tests.simulation.emphases import MANY_FAULTS
from tests.simulation.known import FOR_EVER, NOT_LEASED, ROBBED, Known


def lost_lease_taken_again() -> AbstractContextManager[Any]:
    """A worker that lost its lock leases it again under the old name."""

    def advance(self: WorkerLock) -> None:
        self._lease_id = new_lease_id()

    return patch.object(WorkerLock, "_advance", advance)


def given_up_in_silence() -> AbstractContextManager[Any]:
    """A job that was claimed and given up is left running, under a lock that lives on."""

    def begin(self: GiveBack, job_id: str, lock: str, epoch: int, **_: Any) -> None:
        return

    return patch.object(GiveBack, "_begin", begin)


@contextmanager
def trust_not_checked_before_the_insert() -> Iterator[None]:
    """A claimer that slept in its read writes the claim, though its worker's lock is lost."""
    require_trust = TrailClaim._require_trust

    def believe(
        self: TrailClaim, lease: Lease, lasting: LastingLease | None, *slots: Lease
    ) -> None:
        if lasting is None:
            require_trust(self, lease, lasting, *slots)

    with patch.object(TrailClaim, "_require_trust", believe):
        yield


@contextmanager
def running_on_the_own_lock_means_lost() -> Iterator[None]:
    """The holder of a lock takes every job over that runs on it: on a worker's, its own too."""
    holder_lives = LockViews._holder_lives

    async def lives(self: LockViews, head: Event, held: str | None) -> bool:
        after = head.after
        if after.state is State.RUNNING and is_worker_lock(held) and after.lock == held:
            return False
        return await holder_lives(self, head, held)

    with patch.object(LockViews, "_holder_lives", lives):
        yield


@contextmanager
def lock_kept_at_the_end() -> Iterator[None]:
    """A worker that stops renews its lock no more, and leaves it leased."""

    async def close(self: WorkerLock) -> None:
        if self._kept is not None:
            self._keeper.drop(self._kept)

    with patch.object(WorkerLock, "close", close):
        yield


_WORKER_SCOPE = {"worker_scope": 1.0, "fleet_scope": False, "lacking": 0, "rate": None}
_LOSSES = _WORKER_SCOPE | MANY_FAULTS
OF_SCOPE_WORKER = (
    Known(
        "a lost lease taken again under its old name",
        lost_lease_taken_again,
        26,
        _LOSSES,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=FOR_EVER,
    ),
    Known(
        "a job given up under a live worker's lock",
        given_up_in_silence,
        3,
        _WORKER_SCOPE | {"own_errors": 0.2},
        breaks=BugClass.EVERY_JOB_ENDS,
        shows=FOR_EVER,
    ),
    Known(
        "a worker's trust not checked between read and insert",
        trust_not_checked_before_the_insert,
        3,
        _LOSSES | {"jobs": 12, "limits": False},
        breaks=BugClass.ONE_OUTCOME,
        shows=NOT_LEASED,
    ),
    Known(
        "a job that runs on the worker's own lock taken for lost",
        running_on_the_own_lock_means_lost,
        6,
        _LOSSES,
        breaks=BugClass.ONE_OUTCOME,
        shows=ROBBED,
    ),
    Known(
        "a worker that stops leaves its lock leased",
        lock_kept_at_the_end,
        0,
        _LOSSES,
        breaks=BugClass.EVERY_JOB_ENDS,
        shows="left their locks leased",
    ),
)
"""Faults of one lock for many jobs."""
