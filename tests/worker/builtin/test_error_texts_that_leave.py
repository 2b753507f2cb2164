"""Whatever shows an event to somebody who is less than a viewer hides the credentials in it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.callbacks import Callbacks
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.actions.target_keys import TargetKeys
from jobfleet_publisher import JobFailed, Publisher
from jobfleet_publisher.async_answers import AsyncAnswers
from jobfleet_publisher.async_endpoints import AsyncEndpoints
from jobfleet_publisher.job_details import JobDetails
from jobfleet_worker import handler
from tests.dashboard.api.asgi_client import AsgiClient
from tests.polling import eventually
from tests.worker.builtin.conftest import Workshop
from tests.worker.outbound.target_server import TargetServer
from tests.worker.workshop import DEFAULTS

SECRET = "hunter2"
TEXT = f"postgres://u:{SECRET}@h/db does not answer, password={SECRET}"
SHOWN = "postgres://***@h/db does not answer, password=***"
RESULT = {"password": SECRET}

Way = Callable[[Workshop, TargetServer], Awaitable[str]]
"""Lets an event with the credential leave, and returns what its reader got."""


@handler("broken")
async def broken(_payload: object) -> None:
    raise ValueError(TEXT)


@handler("broken-type")
async def broken_type(_payload: object) -> None:
    raise type(f"password={SECRET}", (Exception,), {})("no")


@handler("good")
async def good(payload: object) -> object:
    return payload


async def _posted(workshop: Workshop, target: TargetServer, job_id: str) -> str:
    await workshop.until_ended(callback_job_id(job_id, 1))
    (body,) = [body for _, path, _, body in target.requests if path == "/done"]
    return body.decode()


async def callback_of_a_failed_job(workshop: Workshop, target: TargetServer) -> str:
    job_id = await workshop.submit("broken", {}, callbackUrl=target.url("/done"), maxAttempts=1)
    return await _posted(workshop, target, job_id)


async def callback_of_a_type_of_errors(workshop: Workshop, target: TargetServer) -> str:
    job_id = await workshop.submit(
        "broken-type", {}, callbackUrl=target.url("/done"), maxAttempts=1
    )
    return await _posted(workshop, target, job_id)


async def callback_of_a_cancelled_job(workshop: Workshop, target: TargetServer) -> str:
    job_id = await workshop.submit(
        "good", {}, callbackUrl=target.url("/done"), runAt="2999-01-01T00:00:00Z"
    )
    await workshop.writes.canceller.cancel(job_id, by="ann", reason=TEXT)
    return await _posted(workshop, target, job_id)


async def callback_of_an_error_that_a_third_party_tells(
    workshop: Workshop, target: TargetServer
) -> str:
    call = {"targetUrl": target.url("/ask")}
    job_id = await workshop.submit("external.call", call, callbackUrl=target.url("/done"))

    async def waits() -> bool:
        head = await workshop.backend.trail.newest(job_id)
        return head is not None and head.after.state is State.WAITING

    await eventually("the job waits", waits, seconds=120)
    callbacks = Callbacks(
        trail=workshop.backend.trail,
        payloads=workshop.backend.payloads,
        writer=workshop.writes.writer,
        ending=workshop.writes.ending,
        clock=SystemClock(),
        keys=TargetKeys((), {}),
        seal=workshop.writes.seal,
    )
    error = {"jobId": job_id, "status": "failed", "error": {"type": TEXT, "message": TEXT}}
    await callbacks.receive(job_id, 1, json.dumps(error).encode())
    return await _posted(workshop, target, job_id)


async def callback_of_a_group(workshop: Workshop, target: TargetServer) -> str:
    fields = {"jobName": "group", "callbackUrl": target.url("/done")}
    groups = workshop.writes.groups
    group = (await groups.open(group_request(fields))).job_id
    await groups.add(group, 0, JobRequest(type="broken", payload=1, max_attempts=1))
    await groups.seal(group, 1)
    return await _posted(workshop, target, group)


async def step_after_a_failure(workshop: Workshop, _: TargetServer) -> str:
    then = [{"type": "good", "when": "always", "results": {"before": "previous"}}]
    job_id = await workshop.submit("broken", {}, maxAttempts=1, then=then)
    history = await workshop.until_ended(successor_id(job_id, 0, 1))
    return str([event.data for event in history])


async def step_after_a_group(workshop: Workshop, _: TargetServer) -> str:
    then = [{"type": "good", "when": "always", "results": {"all": "members", "one": "previous"}}]
    groups = workshop.writes.groups
    group = (await groups.open(group_request({"jobName": "group", "then": then}))).job_id
    await groups.add(group, 0, JobRequest(type="broken", payload=1, max_attempts=1))
    await groups.seal(group, 1)
    history = await workshop.until_ended(successor_id(group, 0, 1))
    return str([event.data for event in history])


async def _asked(workshop: Workshop, answers: AsyncAnswers | None = None) -> str:
    """Return what an end user of an asynchronous endpoint gets, who repeats the request too."""
    publisher = publisher_on(workshop)
    endpoints = AsyncEndpoints(app := FastAPI(), publisher, answers=answers)

    @endpoints.post("/jobs", job_type="broken", max_attempts=1)
    async def order() -> None: ...

    client = AsgiClient(app, headers={"Idempotency-Key": "k"})
    first = await client.post("/jobs", None)
    await workshop.until_ended(first.headers["async-job-id"])
    status = await client.get(first.headers["location"])
    again = await client.post("/jobs", None)
    assert (status.status, again.status) == (200, 202)
    return f"{status.body!r} {again.body!r}"


async def status_route(workshop: Workshop, _: TargetServer) -> str:
    return await _asked(workshop)


def _all_of(job: JobDetails, _: Request) -> Response:
    return Response(repr(job), 202 if job.state.value == "queued" else 200)


def _again(job: JobDetails, _: Request) -> Response:
    return Response(repr(job), 202)


async def own_answers(workshop: Workshop, _: TargetServer) -> str:
    return await _asked(workshop, AsyncAnswers(submitted=_again, status=_all_of))


async def document_of_the_library(workshop: Workshop, _: TargetServer) -> str:
    job_id = await workshop.submit("broken", {}, maxAttempts=1)
    await workshop.until_ended(job_id)
    details = await publisher_on(workshop).find(job_id)
    assert details is not None
    return json.dumps(details.to_json())


def publisher_on(workshop: Workshop) -> Publisher:
    return Publisher(backend=workshop.backend, clock=SystemClock(), defaults=DEFAULTS)


NO_TEXT: list[Way] = [step_after_a_failure, step_after_a_group, callback_of_a_group]
"""Ways on which no text of the error leaves."""
WAYS: list[Way] = [
    *NO_TEXT,
    callback_of_a_failed_job,
    callback_of_a_type_of_errors,
    callback_of_a_cancelled_job,
    callback_of_an_error_that_a_third_party_tells,
    status_route,
    own_answers,
    document_of_the_library,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_no_credential_in_an_error_leaves(
    workshop: Workshop, target: TargetServer, way: Way
) -> None:
    workshop.start(broken, broken_type, good)
    got = await way(workshop, target)
    assert SECRET not in got
    assert ("***" in got) is (way not in NO_TEXT), got


async def test_a_result_is_delivered_as_it_is(workshop: Workshop, target: TargetServer) -> None:
    workshop.start(good)
    job_id = await workshop.submit("good", RESULT, callbackUrl=target.url("/done"))
    assert json.loads(await _posted(workshop, target, job_id))["result"] == RESULT
    details = await publisher_on(workshop).find(job_id)
    assert details is not None
    assert details.masked().to_json()["result"] == RESULT


async def test_a_program_with_the_storage_gets_the_error_as_it_is(workshop: Workshop) -> None:
    workshop.start(broken)
    job = await publisher_on(workshop).submit("broken", {}, max_attempts=1)
    ended = await job.wait()
    with pytest.raises(JobFailed, match=SECRET):
        ended.unwrap()
    details = await publisher_on(workshop).find(job.job_id)
    assert details is not None
    assert details.error is not None
    assert details.error.message == TEXT
    shown = details.masked()
    assert shown.error is not None
    assert (shown.error.message, shown.masked()) == (SHOWN, shown)
