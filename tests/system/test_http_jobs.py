"""HTTP jobs against a server that cannot be relied on: its own log agrees with the trail."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid5

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State, Status
from tests.polling import eventually
from tests.servers import ON_EMBEDDED
from tests.system.fleet import Fleet
from tests.system.unreliable_target import HANGS, UnreliableTarget
from tests.system.verified import assert_verified

ENDS = {"/ok": State.COMPLETED, "/missing": State.FAILED, "/teapot": State.COMPLETED}
REFUSED, UNCLEAR = "refused", "unclear"
ENDINGS = (Status.COMPLETED, Status.FAILED, Status.ATTEMPT_FAILED)


@pytest.fixture
async def target() -> AsyncIterator[UnreliableTarget]:
    """The server under test's feet."""
    server = UnreliableTarget()
    await server.start()
    yield server
    await server.stop()


def mixed(target: UnreliableTarget, number: int) -> JobRequest:
    """Nine of ten jobs are to complete; each tenth finds nothing there."""
    path = ("/ok", "/ok", "/teapot", "/ok", "/missing")[number % 5] if number % 2 else "/ok"
    call: dict[str, Any] = {"targetUrl": target.url + path, "timeoutSeconds": 2}
    call |= ({}, {"method": "POST", "payload": {"n": number}}, {"method": "PUT", "body": "x"})[
        number % 3
    ]
    if path == "/teapot":
        call["expectStatus"] = [418]
    return JobRequest.parse(
        {"type": "http.request", "payload": call, "maxAttempts": 30, "retryDelaySeconds": 0.2}
    )


@ON_EMBEDDED
@pytest.mark.parametrize(
    ("count", "away_seconds"),
    [
        (100, 3.0),
        pytest.param(500, 10.0, marks=[pytest.mark.chaos, pytest.mark.timeout(600)]),
    ],
)
async def test_every_call_that_the_target_saw_stands_in_the_trail_and_no_other(
    fleet: Fleet, target: UnreliableTarget, count: int, away_seconds: float
) -> None:
    jobs = [mixed(target, number) for number in range(count)]
    for _ in range(2):
        fleet.start_worker(
            allow_private_targets="true",
            concurrency="8",
            breaker_open_seconds="1",
            retry_max_seconds="2",
        )
    await fleet.submit_all(jobs)
    await eventually("the first calls", _some_calls(target, count // 4), seconds=180)
    await target.go_away(away_seconds)
    await fleet.until_ended(*(job.job_id for job in jobs), seconds=240)
    for job in jobs:
        await _agrees(await fleet.history(job.job_id), job, target)
    await assert_verified(fleet.backend)


def _some_calls(target: UnreliableTarget, count: int) -> Any:
    async def seen() -> bool:
        return len(target.calls) >= count

    return seen


async def _agrees(history: Sequence[Event], job: JobRequest, target: UnreliableTarget) -> None:
    path = "/" + job.payload["targetUrl"].rpartition("/")[2]
    assert history[-1].after.state is ENDS[path], (path, [e.message for e in history])
    answers = [_answer_in(event) for event in history if event.kind in ENDINGS]
    assert len(answers) == history[-1].after.attempts_used
    reached = [answer for answer in answers if answer != REFUSED]
    seen = target.calls[str(uuid5(UUID(job.job_id), "incarnation/1"))]
    answered = [answer for answer in reached if answer != UNCLEAR]
    assert len(answered) <= len(seen) <= len(reached), [(e.status, e.message) for e in history]
    left = iter(seen)
    assert all(answer in left for answer in answered), (answered, seen)
    assert reached.count(UNCLEAR) >= seen.count(HANGS)


def _answer_in(event: Event) -> int | str:
    """What the trail says of one attempt: a status, or whether the target may have been reached."""
    response: Any = event.data.get("response") or event.data.get("result")
    if response["statusCode"] is not None:
        return int(response["statusCode"])
    return REFUSED if "Cannot connect" in response["error"] else UNCLEAR


@ON_EMBEDDED
async def test_a_job_that_meets_an_open_circuit_is_put_off_without_using_an_attempt(
    fleet: Fleet, target: UnreliableTarget
) -> None:
    await target.stop()
    fleet.start_worker(allow_private_targets="true", breaker_failures="1", breaker_open_seconds="3")
    call = {"targetUrl": target.url + "/ok"}
    fields = {"payload": call, "max_attempts": 100, "retry_delay_seconds": 0.1}
    job_id = await fleet.submit("http.request", **fields)

    async def put_off() -> bool:
        return "Deferred" in await fleet.statuses(job_id)

    await eventually("the circuit to turn the job away", put_off, seconds=120)
    await target.start()
    await fleet.until_ended(job_id)
    history = await fleet.history(job_id)
    failures = sum(event.kind is Status.ATTEMPT_FAILED for event in history)
    assert history[-1].after.state is State.COMPLETED
    assert history[-1].after.attempts_used == failures + 1


async def test_a_server_that_asks_for_patience_is_given_it(
    fleet: Fleet, target: UnreliableTarget
) -> None:
    del target
    began = time.monotonic()
    job_id = await _against(fleet, retry_after="2")
    history = await fleet.history(job_id)
    scheduled = next(e for e in history if e.kind is Status.RETRY_SCHEDULED)
    assert scheduled.data["delaySeconds"] == 2
    assert time.monotonic() - began >= 2


async def _against(fleet: Fleet, *, retry_after: str) -> str:
    from aiohttp import web

    answers = [web.Response(status=429, headers={"Retry-After": retry_after}), web.Response()]

    async def answer(_: web.Request) -> web.StreamResponse:
        return answers.pop(0)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fleet.start_worker(allow_private_targets="true")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    job_id = await fleet.submit("http.request", payload={"targetUrl": url}, max_attempts=2)
    await fleet.until_ended(job_id)
    await asyncio.shield(runner.cleanup())
    return job_id
