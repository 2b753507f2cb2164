"""Only what the trail of an ended job says is delivered, and why nothing else is."""

from __future__ import annotations

import json

import pytest

from jobfleet_contracts.errors import ActionRefused
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.actions.final_result import FinalResult, final_result_of
from tests.protocol.bench import Bench

URL = "https://a.example/done"


async def result(bench: Bench, job_id: str, incarnation: int = 1) -> FinalResult:
    return await final_result_of(
        job_id, incarnation, trail=bench.trail, payloads=bench.backend.payloads
    )


async def cancelled(bench: Bench, url: str | None) -> str:
    request = JobRequest(type="a", callback_url=url)
    await bench.submitter.submit(request)
    await bench.canceller.cancel(request.job_id, by="test")
    return request.job_id


async def test_an_ended_incarnation_is_told_even_after_a_dismissal_or_a_redrive(
    bench: Bench,
) -> None:
    job_id = await cancelled(bench, URL)
    await bench.redriver.redrive(job_id, by="test")
    found = await result(bench, job_id)
    body = json.loads(found.body)
    assert (found.url, body["state"], body["incarnation"]) == (URL, "cancelled", 1)
    assert body["result"] is None
    assert body["error"].keys() <= {"type", "message"}


async def test_there_is_nothing_to_deliver_of_an_unknown_job_or_without_an_address(
    bench: Bench,
) -> None:
    with pytest.raises(ActionRefused, match="no job"):
        await result(bench, new_id())
    with pytest.raises(ActionRefused, match="asked for no callback"):
        await result(bench, await cancelled(bench, None))


async def test_an_incarnation_without_an_end_has_no_result(bench: Bench) -> None:
    job_id = await cancelled(bench, URL)
    await bench.redriver.redrive(job_id, by="test")
    for incarnation in (2, 3):
        with pytest.raises(ActionRefused, match="has no end"):
            await result(bench, job_id, incarnation)
