"""JobIndexReader: rows of lists tell what a job holds or waits for."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_contracts.index import JobQuery, JobRow
from jobfleet_contracts.job_locks import JobLock, JobLocks
from jobfleet_contracts.lease import key_locks, limit_lock
from tests.conformance.jobs import after, completed, queued, write


async def _row(backend: Backend, event: Event) -> JobRow:
    (row,) = (await backend.reader.jobs(JobQuery(text=event.job_id))).items
    return row


async def test_a_running_job_tells_its_slots_and_an_ended_one_none(backend: Backend) -> None:
    first = queued(lock_key="größe", lock_slots=3)
    begun = after(
        first,
        "Started",
        worker_id="w1",
        lock=key_locks("größe", 3)[1],
        locks=(HeldLock(limit_lock("api", 4), 1), HeldLock(key_locks("of the handler", 1)[0], 1)),
    )
    step = after(begun, "Step 1", worker_id="w1")
    await write(backend, first, begun, step)
    held = (JobLock("lockKey", "größe", 2), JobLock("limit", "api", 4), JobLock("lockKey", ""))
    assert (await _row(backend, first)).locks == JobLocks(holds=held)
    await write(backend, completed(step))
    assert (await _row(backend, first)).locks == JobLocks()


async def test_a_deferred_job_tells_what_it_waits_for(backend: Backend) -> None:
    for data, waited in (
        ({"reason": "lock"}, JobLock("lockKey", "k")),
        ({"reason": "lock", "lock": "of the handler"}, JobLock("lockKey", "of the handler")),
        ({"reason": "limit", "limit": "api"}, JobLock("limit", "api")),
        ({"reason": "rate", "rate": "crm.sync"}, JobLock("rate", "crm.sync")),
        ({"reason": "paused"}, None),
    ):
        first = queued(lock_key="k")
        await write(backend, first, after(first, "Deferred", data=data))
        row = await _row(backend, first)
        assert row.locks == JobLocks(waits_for=waited)
        assert row.to_json()["waitsFor"] == (None if waited is None else waited.to_json())
