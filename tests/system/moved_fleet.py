"""A fleet with a job of each kind in each state, and what must be the same after a move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_cli.patience import Patience
from jobfleet_cli.session import Session
from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.error_group import ErrorKey, FailureCount
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock, key_lock, limit_lock
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.bulk_action import BulkActions
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.lock_slots import LockSlotDemand
from jobfleet_protocol.claiming.start_terms import StartTerms
from jobfleet_protocol.control.fleet_seal import is_seal_log
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.reading.job_actions import JobAction
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.tombstone import tombstone_of
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.bench import Bench
from tests.protocol.steered_clock import SteeredClock

LARGE = "x" * 200_000


@dataclass
class Fleet:
    """A backend, and actions on it.

    Attributes:
        jobs: ids by what the job is an example of.
    """

    bench: Bench
    session: Session
    jobs: dict[str, str]

    async def failures(self) -> dict[ErrorKey, FailureCount]:
        """Return the failures of the last day as the index counts them."""
        since = self.session.clock.now() - timedelta(days=1)
        errors = await self.bench.real.reader.errors(since=since, step="hour")
        return {group.key: group.total for group in errors.groups}

    async def histories(self) -> dict[str, list[Event]]:
        """Return all that the trail holds, with its data."""
        found = {}
        async for history in self.bench.real.trail.scan():
            whole = [await resolve(event, self.bench.real.payloads) for event in history]
            found[whole[0].job_id] = whole
        return found

    async def entries(self) -> list[ControlEntry]:
        """Return the control log but for the seal."""
        logs = [log async for log in self.bench.real.control_log.scan()]
        return [e for log in logs for e in log if not is_seal_log(e)]

    async def state(self, name: str) -> str:
        """Return the state of an example."""
        return (await self.bench.head(self.jobs[name])).after.state.value

    async def log_of(self, name: str) -> bytes:
        """Return what the handler of an example has logged."""
        return await self.bench.real.logs.read(self.jobs[name], 1, limit=1_000_000)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Fleet]:
    """Open a backend as a command does."""
    clock = SteeredClock()
    real = await open_backend(settings)
    bench = Bench(real, clock)
    session = Session(settings, real, clock, Patience(), bench.writes)
    try:
        yield Fleet(bench, session, {})
    finally:
        await bench.writes.settle()
        await real.close()


async def populate(fleet: Fleet) -> None:
    """Make a job of each kind in each state, as publishers, workers and operators do."""
    await _open_jobs(fleet)
    await _ended_jobs(fleet)
    await _shared_locks(fleet)
    await _lost_workers(fleet)
    await _decisions(fleet)
    await fleet.bench.real.index.flush()


async def _open_jobs(fleet: Fleet) -> None:
    bench = fleet.bench
    soon, late = (bench.clock.now() + timedelta(minutes=m) for m in (20, 300))
    fleet.jobs["queued"] = (await bench.submit()).job_id
    fleet.jobs["large request"] = (await bench.submit(payload=LARGE)).job_id
    fleet.jobs["scheduled soon"] = (await bench.submit(run_at=soon)).job_id
    fleet.jobs["scheduled late"] = (await bench.submit(run_at=late)).job_id
    for name, changes in _PUT_OFF.items():
        request = await bench.submit()
        claimed = await bench.claimed(request)
        await _write(bench, claimed, *changes)
        fleet.jobs[name] = request.job_id
    for name, is_sent in (("waiting", True), ("waiting unsent", False)):
        request = await bench.submit()
        claimed = await bench.claimed(request)
        own = job_lock(request.job_id)
        waiting = Change(kind=Status.WAITING, worker_id="w1", due_at=late, lock=own)
        step = Change(kind=Status.STEP, step=1, worker_id="w1", sent=True)
        await _write(bench, claimed, waiting, *([step] if is_sent else []))
        fleet.jobs[name] = request.job_id


_PUT_OFF: Mapping[str, Sequence[Change]] = {
    "deferred": [Change(kind=Status.DEFERRED, worker_id="w1", data={"reason": "handler"})],
    "retrying": [
        Change(kind=Status.ATTEMPT_FAILED, worker_id="w1", message="no"),
        Change(kind=Status.RETRY_SCHEDULED, worker_id="w1"),
    ],
}


_FOLLOWED: Mapping[str, Mapping[str, Any]] = {
    "owes a callback": {"callback_url": "https://example.com/done"},
    "owes a successor": {"then": [{"type": "x"}]},
}
"""Their workers died before they submitted what follows."""


async def _ended_jobs(fleet: Fleet) -> None:
    bench = fleet.bench
    for name, status in (
        *(("completed", "Completed"), ("failed", "Failed"), ("timed out", "TimedOut")),
        *(("redriven", "Failed"), ("dismissed", "Failed"), ("removed", "Completed")),
        *(("owes a callback", "Completed"), ("owes a successor", "Completed")),
    ):
        request = await bench.submit(**_FOLLOWED.get(name, {}))
        claimed = await bench.claimed(request)
        await bench.real.logs.append(request.job_id, 1, 0, b"it runs\n")
        if name == "completed":
            for first in range(0, 130, 10):
                await claimed.trail.write(partial(_ten_steps, first))
        await bench.end(claimed, status, data={"result": LARGE} if name == "completed" else {})
        fleet.jobs[name] = request.job_id
        if name not in _FOLLOWED:
            bench.real.index.close(request.job_id, 1)
    fleet.jobs["cancelled"] = (await bench.submit()).job_id
    await bench.canceller.cancel(fleet.jobs["cancelled"], by="operator")
    await bench.redriver.redrive(fleet.jobs["redriven"], by="operator")
    await bench.redriver.dismiss(fleet.jobs["dismissed"], by="operator")
    head = await bench.head(fleet.jobs["removed"])
    tombstone = tombstone_of(head, head, digest=None, message="history removed")
    assert bench.real.retention is not None
    await bench.real.retention.forget(tombstone, last=head.sequence)


def _ten_steps(first: int, _: Event) -> list[Change]:
    return [
        Change(kind=Status.STEP, step=number, worker_id="w1", data={"step": number})
        for number in range(first + 1, first + 11)
    ]


async def _shared_locks(fleet: Fleet) -> None:
    """Two turns under a lock key and under a slot of a limit."""
    bench = fleet.bench
    slot = limit_lock("crm", 1)
    demand = LockSlotDemand(reason="limit", name="crm", locks=(slot,), prefix="limit/crm/")
    for number in (1, 2):
        bench.terms = StartTerms(slot_demands=(demand,))
        request = await bench.submit(lock_key="customer-1", limits=["crm"])
        claimed = await bench.claimed(request)
        for lease in claimed.slot_leases:
            await bench.real.leases.release(lease.lock, lease.lease_id)
        await bench.end(replace(claimed, slot_leases=()))
        bench.real.index.close(request.job_id, 1)
        fleet.jobs[f"turn {number}"] = request.job_id
    bench.terms = StartTerms()


async def _lost_workers(fleet: Fleet) -> None:
    """Jobs that run, by the trail, while their lock is free."""
    bench = fleet.bench
    for name in ("lost", "once", "lost under a key"):
        fields: dict[str, Any] = {"on_lost": "fail"} if name == "once" else {}
        fields |= {"lock_key": "customer-1"} if name == "lost under a key" else {}
        request = await bench.submit(**fields)
        claimed = await bench.claimed(request)
        await bench.real.leases.release(claimed.lease.lock, claimed.lease.lease_id)
        fleet.jobs[name] = request.job_id


async def _decisions(fleet: Fleet) -> None:
    bench, real = fleet.bench, fleet.bench.real
    fleet.jobs["of a paused type"] = (await bench.submit(type="held")).job_id
    ports: dict[str, Any] = {"log": real.control_log, "clock": bench.clock}
    await Pauses(control=real.control, **ports).pause(
        ControlSubject.TYPE, "held", by="operator", reason="the partner is away"
    )
    await Limits(control=real.control, **ports).set(
        "crm", slots=1, rate=None, by="operator", reason=""
    )
    schedules = Schedules(trail=real.trail, submitter=bench.submitter, **ports)
    await schedules.declare(Schedule(name="daily", type="x", cron="0 6 * * *"), by="operator")
    bulk = BulkActions(payloads=real.payloads, journal=ActionJournal(**ports), **ports)
    await bulk.accept(
        JobAction.DISMISS, [fleet.jobs["failed"]], by="operator", reason="", scope="failed"
    )


async def _write(bench: Bench, claimed: Claimed, *changes: Change) -> None:
    soon = bench.clock.now() + timedelta(minutes=5)
    due = [c if c.due_at or c.kind is Status.STEP else replace(c, due_at=soon) for c in changes]
    await claimed.trail.write(lambda _: due, last=True)
    await bench.claimer().leases.give_up(claimed.lease, claimed.request)


def key_lock_of_turns() -> str:
    """The lock that both turns were taken under."""
    return key_lock("customer-1")


def a_request(**fields: Any) -> JobRequest:
    """A request of a new job."""
    return JobRequest(**{"type": "x", **fields})
