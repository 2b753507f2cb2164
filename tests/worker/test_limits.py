"""Named limits and declared lock keys hold for every job of a handler, whatever submitted it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.lease import key_lock
from jobfleet_contracts.state import State
from jobfleet_protocol.control.limits import Limits
from jobfleet_worker import JobContext, handler
from tests.polling import eventually
from tests.worker.workshop import Workshop

running: Counter[str] = Counter()
most: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_runs() -> None:
    running.clear()
    most.clear()


async def count(name: str, seconds: float = 0.15) -> None:
    running[name] += 1
    most[name] = max(most[name], running[name])
    try:
        await asyncio.sleep(seconds)  # the handler's work
    finally:
        running[name] -= 1


@handler("stripe", limits=["api"])
async def stripe(payload: Any) -> None:
    await count("api")


@handler("other")
async def other(payload: Any) -> None:
    await count("other")


@handler("customer", lock_key=lambda payload: f"customer-{payload['id']}")
async def customer(payload: dict[str, Any]) -> None:
    await count(f"customer-{payload['id']}")


@handler("printer", lock_key="printer", lock_slots=2)
async def printer(payload: Any) -> None:
    await count("printer")


@handler("wrong", lock_key=lambda payload: payload["nothing"])
async def wrong(payload: Any) -> None:
    await count("wrong")


@handler("waits", limits=["api"])
async def waits(payload: Any, context: JobContext) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def limits(workshop: Workshop) -> Limits:
    real = workshop.real
    return Limits(log=real.control_log, control=real.control, clock=workshop.clock)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobfleet_worker.run.deferral.SHORTEST_WITHOUT_LOCK_SLOT", 0.05)
    monkeypatch.setattr("jobfleet_worker.run.deferral.LONGEST_WITHOUT_LOCK_SLOT", 0.2)


async def all_done(workshop: Workshop, job_ids: list[str]) -> None:
    for job_id in job_ids:
        assert (await workshop.until_ended(job_id)).status == "Completed"


async def until_known(workshop: Workshop, *, slots: int) -> None:
    """Wait until the first worker knows the number; an announcement takes a moment."""
    worker = workshop._workers[0].worker

    async def known() -> bool:
        return (await worker._receiving.pause_watch.limits())["api"].slots == slots

    await eventually(f"a worker that knows of {slots} slots", known)


async def test_no_more_jobs_run_than_a_limit_has_slots(workshop: Workshop, limits: Limits) -> None:
    await limits.set("api", slots=2, rate=None, by="ann")
    for _ in range(2):
        workshop.start_worker(stripe, other)
    job_ids = [await workshop.submit("stripe") for _ in range(8)]
    job_ids += [await workshop.submit("other", limits=["api"]) for _ in range(2)]
    free = [await workshop.submit("other") for _ in range(4)]
    await all_done(workshop, job_ids + free)
    assert most["api"] == 2
    waited = [j for j in job_ids if "Deferred" in await workshop.statuses(j)]
    assert waited
    deferred = (await workshop.history(waited[0]))[1]
    assert deferred.data == {"reason": "limit", "limit": "api"}
    assert deferred.message == "waiting for limit api"
    assert (await workshop.statuses(waited[0])).count("Deferred") == 1


async def test_a_limit_that_is_raised_counts_at_once_and_a_removed_one_no_more(
    workshop: Workshop, limits: Limits
) -> None:
    await limits.set("api", slots=1, rate=None, by="ann")
    workshop.start_worker(stripe, waits)
    blocking = await workshop.submit("waits")
    await workshop.until_state(blocking, State.RUNNING)
    second = await workshop.submit("stripe")
    await workshop.until_state(second, State.DEFERRED)
    await limits.set("api", slots=2, rate=None, by="ann")
    assert (await workshop.until_ended(second)).status == "Completed"
    await limits.set("api", slots=1, rate=None, by="ann")
    await until_known(workshop, slots=1)
    third = await workshop.submit("stripe")
    await workshop.until_state(third, State.DEFERRED)
    await limits.remove("api", by="ann")
    assert (await workshop.until_ended(third)).status == "Completed"
    assert (await workshop.head(blocking)).after.state is State.RUNNING


async def test_a_job_whose_limit_nobody_has_set_says_so_and_waits_for_it(
    workshop: Workshop, limits: Limits
) -> None:
    workshop.start_worker(other)
    job_id = await workshop.submit("other", limits=["apo"])
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert head.message == "limit apo is not set; do: jobfleet limits set apo --slots N"
    assert (await workshop.run("other")).status == "Completed"
    await limits.set("apo", slots=1, rate=None, by="ann")
    assert (await workshop.until_ended(job_id)).status == "Completed"


async def test_a_limit_with_a_rate_alone_spreads_starts_and_takes_no_slot(
    workshop: Workshop, limits: Limits
) -> None:
    await limits.set("api", slots=None, rate="5/second", burst=2, by="ann")
    workshop.start_worker(stripe)
    job_ids = [await workshop.submit("stripe") for _ in range(4)]
    await all_done(workshop, job_ids)
    started = [e for j in job_ids for e in await workshop.history(j) if e.status == "Started"]
    assert {event.data["rate"] for event in started} == {"limit api"}
    assert not any(event.after.locks for event in started)
    assert await workshop.real.rates.read("limit/api") is not None


async def test_a_running_job_stops_where_a_slot_of_its_limit_is_lost(
    workshop: Workshop, limits: Limits
) -> None:
    await limits.set("api", slots=1, rate=None, by="ann")
    running = workshop.start_worker(waits)
    job_id = await workshop.submit("waits")
    head = await workshop.until_state(job_id, State.RUNNING)
    (held,) = head.after.locks
    (lease,) = (await running.run_of(job_id)).held_lock_slots.leases
    await workshop.real.leases.release(held.lock, lease.lease_id)
    await workshop.real.leases.acquire(held.lock, "somebody else", 30)

    async def has_stopped() -> bool:
        return job_id not in running.worker.executor.running

    await eventually("the end of the run", has_stopped)
    assert (await workshop.head(job_id)).after.state is State.RUNNING, "nothing is written"


async def test_a_declared_lock_key_holds_for_jobs_that_name_none(workshop: Workshop) -> None:
    for _ in range(2):
        workshop.start_worker(customer, printer)
    job_ids = [
        await workshop.submit("customer", {"id": number}) for number in (1, 2) for _ in range(3)
    ]
    job_ids += [await workshop.submit("printer") for _ in range(5)]
    job_ids += [await workshop.submit("customer", {"id": 1}, lock_key="customer-1")]
    await all_done(workshop, job_ids)
    assert (most["customer-1"], most["customer-2"]) == (1, 1)
    assert most["printer"] == 2
    started = next(e for e in await workshop.history(job_ids[0]) if e.status == "Started")
    assert [held.lock for held in started.after.locks] == [key_lock("customer-1")]


async def test_a_lock_key_that_fails_ends_its_job_with_the_reason(workshop: Workshop) -> None:
    workshop.start_worker(wrong)
    ended = await workshop.run("wrong", {})
    assert ended.status == "Failed"
    assert "KeyError" in ended.data["error"]["message"]
    assert not most["wrong"]


async def test_a_limit_whose_log_cannot_be_read_lets_nothing_start_until_it_is_set_anew(
    workshop: Workshop, limits: Limits
) -> None:
    await limits.set("api", slots=1, rate=None, by="ann")
    newest = await workshop.real.control_log.newest(ControlSubject.LIMIT, "api")
    assert newest is not None
    spoiled = replace(newest, sequence=2, entry_id="x", state={"slots": "many"})
    await workshop.real.control_log.insert(spoiled)
    workshop.start_worker(stripe, other)
    job_id = await workshop.submit("stripe")
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert "cannot be read" in head.message
    assert (await workshop.run("other")).status == "Completed"
    await limits.set("api", slots=1, rate=None, by="ann")
    assert (await workshop.until_ended(job_id)).status == "Completed"
