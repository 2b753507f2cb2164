"""Which request a message stands for, where the message alone proves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jobfleet_contracts.encoded_value import MARK
from jobfleet_contracts.internal_job import CALLBACK_TYPE
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.value_coder import ValueCoder
from jobfleet_protocol.claiming.acceptance import ForNewer, NoRequest
from jobfleet_protocol.claiming.claim_result import Claimed
from jobfleet_protocol.claiming.decision import Attended, Busy, Ended, Wait
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.trail.chain import chained
from jobfleet_protocol.trail.tombstone import seal_of, tombstone_of, tombstone_under
from tests.protocol.bench import Bench
from tests.protocol.test_encoded_values_are_not_accepted import PLACES
from tests.worker.key_ring import KeyRing


async def claim(bench: Bench, message: JobMessage) -> object:
    return await bench.claimer("w9").claim(message, lease_id=new_lease_id())


async def test_unknown_fields_without_a_trail_are_no_request(bench: Bench) -> None:
    message = JobMessage(request=JobRequest(type="x"), unknown_fields=("colour",))
    result = await claim(bench, message)
    assert isinstance(result, NoRequest)
    assert "colour" in result.reason


async def test_a_foreign_message_of_an_internal_type_starts_nothing(bench: Bench) -> None:
    message = JobMessage(request=JobRequest(type=CALLBACK_TYPE))
    result = await claim(bench, message)
    assert isinstance(result, NoRequest)
    assert CALLBACK_TYPE in result.reason


async def test_a_foreign_message_with_an_internal_id_starts_nothing(bench: Bench) -> None:
    request = JobRequest(type="x", job_id="6f9b2c54-8f0e-8d5b-9a63-3c1d0b7e4a11")
    result = await claim(bench, JobMessage(request=request))
    assert isinstance(result, NoRequest)
    assert "version 8" in result.reason


async def test_a_foreign_message_with_an_encoded_value_in_any_field_starts_nothing(
    bench: Bench,
) -> None:
    claimer = bench.claimer("w9", ValueCoder(KeyRing("k1")))
    for place, forms in PLACES.items():
        for name, form in forms.items():
            request = JobRequest.parse({"type": "x", place: form})
            result = await claimer.claim(JobMessage(request=request), lease_id=new_lease_id())
            assert isinstance(result, NoRequest), (place, name)
            assert "encoded" in result.reason, (place, name)
            assert await bench.statuses(request.job_id) == [], (place, name)


async def test_a_foreign_message_becomes_an_encoded_event_1(bench: Bench) -> None:
    coder = ValueCoder(KeyRing("k1"))
    message = JobMessage(request=JobRequest(type="x", payload={"name": "Ada"}))
    result = await bench.claimer("w9", coder).claim(message, lease_id=new_lease_id())
    assert isinstance(result, Claimed)
    assert MARK in result.request.payload
    assert coder.clear_request(result.request).payload == {"name": "Ada"}
    opening = await bench.real.trail.read(message.request.job_id, 1)
    assert opening is not None
    assert "Ada" not in str(opening.data)


async def test_a_foreign_message_of_a_removed_job_finds_it_ended(bench: Bench) -> None:
    request = await bench.submit()
    head = await bench.end(await bench.claimed(request))
    seal = seal_of(tombstone_of(head, head, digest="d", message="removed"), head=head)
    await bench.real.trail.insert([seal])
    assert bench.real.retention is not None
    await bench.real.retention.forget(tombstone_under(seal), last=seal.sequence)
    assert isinstance(await claim(bench, JobMessage(request=request)), Ended)


async def test_a_request_whose_stored_data_are_lost_runs_from_its_message(bench: Bench) -> None:
    request = await bench.submit(payload="x" * 40_000)
    await bench.real.payloads.delete_job(request.job_id)
    strange = JobMessage(request=request, unknown_fields=("colour",))
    assert isinstance(await claim(bench, strange), NoRequest)
    result = await claim(bench, JobMessage(request=request))
    assert isinstance(result, Claimed)
    assert result.request.payload == request.payload


async def test_a_stored_request_of_a_newer_version_is_left_to_newer_workers(bench: Bench) -> None:
    request = await bench.submit()
    opening = await bench.head(request.job_id)
    newer = JobRequest(type="x")
    facts = replace(opening.facts, job_id=newer.job_id)
    stored = {**opening.data["request"], "jobId": newer.job_id, "colour": "red"}
    data = {**opening.data, "request": stored}
    first = chained(None, replace(opening, facts=facts, data=data, event_id=newer.job_id))
    await bench.real.trail.insert([first])
    result = await claim(bench, JobMessage(request=newer))
    assert isinstance(result, ForNewer)
    assert "colour" in result.reason
    await bench.canceller.cancel(newer.job_id, by=None)
    assert isinstance(await claim(bench, JobMessage(request=newer)), Ended)


async def test_a_foreign_job_under_a_busy_lock_key_gets_its_event_1_and_waits(
    bench: Bench,
) -> None:
    await bench.claimed(await bench.submit(lock_key="k"))
    request = JobRequest(type="x", lock_key="k")
    result = await claim(bench, JobMessage(request=request))
    assert isinstance(result, Busy)
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_beside_the_holder_of_a_lock_key_a_waiting_job_ends_at_its_deadline(
    bench: Bench,
) -> None:
    waiting = await bench.claimed(await bench.submit(lock_key="k"))
    deadline = bench.clock.now() + timedelta(seconds=10)
    await bench.end(waiting, "Waiting", due_at=deadline)
    await bench.real.leases.release(waiting.lease.lock, waiting.lease.lease_id)
    bench.clock.advance(11)
    await bench.claimed(await bench.submit(lock_key="k"))
    result = await bench.claim(waiting.request, "w9")
    assert isinstance(result, Ended)
    assert (result.written, result.head.status) == (True, "TimedOut")


async def test_an_unsent_request_of_a_lock_key_is_claimed_again_under_the_jobs_own_lock(
    bench: Bench,
) -> None:
    waiting = await bench.claimed(await bench.submit(lock_key="k"))
    due_at = bench.clock.now() + timedelta(hours=1)
    own = job_lock(waiting.request.job_id)
    await bench.end(waiting, "Waiting", due_at=due_at, lock=own)
    await bench.real.leases.release(waiting.lease.lock, waiting.lease.lease_id)
    again = await bench.claim(waiting.request, "w2", due_at=None)
    assert isinstance(again, Claimed)
    assert (again.lease.lock, again.trail.head.status) == (own, "TakenOver")
    assert isinstance(await bench.claim(waiting.request, "w3", due_at=None), Attended)
    assert isinstance(await bench.claim(waiting.request, "w3"), Wait)
