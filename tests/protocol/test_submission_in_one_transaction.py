"""Submitting where one transaction makes the job: one per id or key, whatever is not answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jobfleet_contracts.errors import BackendUnavailable, BodyConflict
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.submission import Submitter
from jobfleet_protocol.actions.write_side import WriteSide
from tests.protocol.bench import DEFAULTS, Bench


@pytest.fixture
def submitter(bench: Bench) -> Submitter:
    backend = replace(bench.backend, openings=bench.openings)
    return WriteSide.wire(backend=backend, clock=bench.clock, defaults=DEFAULTS).submitter


async def sent(bench: Bench) -> list[str]:
    return [message.request.job_id for message in await bench.messages()]


async def test_one_write_makes_the_job_and_tells_workers(
    bench: Bench, submitter: Submitter
) -> None:
    request = JobRequest(type="x", payload={"a": 1})
    assert (await submitter.submit(request, by="ann")).created
    assert bench.openings.calls["write"] == 1
    assert (
        not bench.index.calls["open"] + bench.trail.calls["insert"] + bench.queue.calls["publish"]
    )
    assert await bench.statuses(request.job_id) == ["Queued"]
    assert await sent(bench) == [request.job_id]


async def test_a_transaction_that_did_not_arrive_makes_no_job(
    bench: Bench, submitter: Submitter
) -> None:
    bench.openings.lose_request("write")
    request = JobRequest(type="x")
    with pytest.raises(BackendUnavailable):
        await submitter.submit(request)
    assert await bench.real.trail.newest(request.job_id) is None
    assert (await submitter.submit(request)).created
    assert await sent(bench) == [request.job_id]


async def test_a_transaction_whose_answer_was_lost_is_found_in_the_trail(
    bench: Bench, submitter: Submitter
) -> None:
    bench.openings.lose_reply("write")
    request = JobRequest(type="x")
    assert (await submitter.submit(request)).created
    assert await sent(bench) == [request.job_id]


async def test_a_transaction_of_which_nothing_is_known_is_repeated_by_the_caller(
    bench: Bench, submitter: Submitter
) -> None:
    bench.openings.lose_reply("write")
    bench.trail.lose_request("read")
    request = JobRequest(type="x")
    with pytest.raises(BackendUnavailable):
        await submitter.submit(request)
    assert not (await submitter.submit(request)).created
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_many_submits_of_one_key_make_one_job(bench: Bench, submitter: Submitter) -> None:
    answers = await asyncio.gather(
        *(submitter.submit(JobRequest(type="x"), idempotency_key="k") for _ in range(20))
    )
    assert len({answer.job_id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1


async def test_another_body_under_a_key_is_refused(bench: Bench, submitter: Submitter) -> None:
    await submitter.submit(JobRequest(type="x", payload=1), idempotency_key="k")
    with pytest.raises(BodyConflict):
        await submitter.submit(JobRequest(type="x", payload=2), idempotency_key="k")
