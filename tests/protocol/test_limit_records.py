"""Limits as lists show them: the jobs that hold slots, by trail and locks."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_contracts.errors import LockMissing, UnknownLimit
from jobfleet_contracts.lease import limit_lock, limit_prefix
from jobfleet_protocol.claiming.lock_slots import LIMIT, LockSlotDemand
from jobfleet_protocol.claiming.start_terms import StartTerms
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.reading import limit_record
from jobfleet_protocol.reading.limit_record import LimitReader
from tests.protocol.bench import Bench


def _reader(bench: Bench) -> tuple[Limits, LimitReader]:
    limits = Limits(log=bench.real.control_log, control=bench.real.control, clock=bench.clock)
    return limits, LimitReader(limits=limits, locks=bench.locks, trail=bench.real.trail)


def _demand(name: str, slots: int) -> LockSlotDemand:
    locks = tuple(limit_lock(name, slot) for slot in range(1, slots + 1))
    return LockSlotDemand(reason=LIMIT, name=name, locks=locks, prefix=limit_prefix(name))


async def test_holders_are_the_jobs_that_run_by_their_slots(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, reader = _reader(bench)
    assert await reader.all() == []
    for name in ("gone", "api", "quiet"):
        await limits.set(name, slots=2, rate=None, burst=1, by="ops", reason="")
    await limits.remove("gone", by="ops", reason="")
    bench.terms = StartTerms(slot_demands=(_demand("api", 2),))
    jobs = [await bench.submit(job_name=f"job {n}") for n in range(2)]
    await asyncio.gather(*map(bench.claimed, jobs))
    api, quiet = await reader.all()
    assert (api.limit.name, api.used, len(api.holders)) == ("api", 2, 2)
    assert [holder.slot for holder in api.holders] == [1, 2]
    assert {holder.job_id for holder in api.holders} == {job.job_id for job in jobs}
    assert (quiet.limit.name, quiet.used, quiet.holders) == ("quiet", 0, [])
    assert await reader.one("api") == api
    assert api.to_json()["holders"][0] == api.holders[0].to_json()
    assert [len(record.holders) for record in await reader.all(holders=1)] == [1, 0]
    monkeypatch.setattr(limit_record, "MAX_HOLDERS", 0)
    assert [(each.used, len(each.holders)) for each in await reader.all()] == [(2, 0), (0, 0)]
    with pytest.raises(UnknownLimit):
        await reader.one("gone")


async def test_a_slot_whose_note_is_gone_or_names_no_running_job_has_no_holder(
    bench: Bench,
) -> None:
    limits, reader = _reader(bench)
    await limits.set("api", slots=2, rate=None, burst=1, by="ops", reason="")
    bench.terms = StartTerms(slot_demands=(_demand("api", 1),))
    run = await bench.claimed(await bench.submit())
    assert len((await reader.one("api")).holders) == 1
    bench.locks.lose_request("read_note", error=LockMissing("gone"))
    assert (await reader.one("api")).holders == []
    # Its attempt has ended, and the slot is leased for a moment longer.
    await bench.end(run)
    (left,) = await reader.all()
    assert (left.used, left.holders) == (1, [])
