"""The same call with the same key is the same job, however much later, at every entrance."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from jobfleet_contracts.errors import BodyConflict, InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_publisher.async_endpoints import AsyncEndpoints
from jobfleet_publisher.sync import Publisher as SyncPublisher
from tests.cli.command_process import run_command
from tests.dashboard.api.asgi_client import AsgiClient
from tests.entrances.entrances import JSON, Site

KEY = "invoice/2026-11"
FULL: dict[str, Any] = {
    "type": "mail.send",
    "payload": {"to": "ann"},
    "name": "a name",
    "description": "a text",
    "priority": 7,
    "queue": "mails",
    "lock_key": "customer-1",
    "max_attempts": 4,
    "timeout": 30,
    "retry_delay": timedelta(seconds=5),
    "callback_url": "https://example.org/done",
    "context": {"tenant": "t1", "traceparent": "00-1"},
    "delay": 30,
}
"""Every field that a caller of the library can say."""


async def library(site: Site) -> str:
    return (await site.publisher.submit(**FULL, idempotency_key=KEY)).job_id


async def library_sync(site: Site) -> str:
    def submit() -> str:
        with SyncPublisher.from_env(data_dir=site.folder) as publisher:
            return publisher.submit(**FULL, idempotency_key=KEY).job_id

    return await asyncio.to_thread(submit)


async def command(site: Site) -> str:
    answer = await asyncio.to_thread(
        run_command,
        ("publish", "--type", "mail.send", "--delay", "30", "--idempotency-key", KEY),
        folder=site.folder,
        environment={**os.environ, "JOBFLEET_DATA_DIR": str(site.folder)},
        stdin="",
        seconds=60,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()[0]


async def rest(site: Site) -> str:
    headers = {"Idempotency-Key": KEY}
    body = {"type": "mail.send", "runAt": "2099-01-01T00:00:00Z"}
    answer = await site.dashboard.post("/api/jobs", body, headers=headers)
    assert answer.status == 202, answer.body
    return str(answer.json["jobId"])


async def rest_bulk(site: Site) -> str:
    headers = {"Idempotency-Key": KEY}
    body = {"jobs": [{"type": "mail.send", "context": {"tenant": "t1"}}]}
    answer = await site.dashboard.post("/api/jobs/bulk", body, headers=headers)
    return str(answer.json["items"][0]["jobId"])


async def endpoint(site: Site) -> str:
    endpoints = AsyncEndpoints(app := FastAPI(), site.publisher)

    @endpoints.post("/do/{year}", job_type="mail.send", max_attempts=2)
    async def do(year: int) -> dict[str, int]:
        return {"year": year}

    client = AsgiClient(app, headers=JSON | {"Idempotency-Key": KEY})
    answer = await client.request("POST", "/do/2026", query={"a": "1"})
    assert answer.status == 202, answer.body
    return str(answer.headers["async-job-id"])


CALLS: dict[str, Callable[[Site], Awaitable[str]]] = {
    each.__name__: each for each in (library, library_sync, command, rest, rest_bulk, endpoint)
}


@pytest.mark.parametrize("call", CALLS)
async def test_it_is_the_same_job(call: str, site: Site) -> None:
    first = await CALLS[call](site)
    await asyncio.to_thread(_let_the_clock_move)
    assert await CALLS[call](site) == first
    assert len(await site.backend.trail.history(first)) == 1


def _let_the_clock_move() -> None:
    """A time that was made from "now" differs at the next call."""
    before = datetime.now(UTC)
    while datetime.now(UTC) == before:
        pass


@pytest.mark.parametrize("field", sorted(FULL.keys() - {"context"}))
async def test_what_the_caller_said_otherwise_makes_another_body(field: str, site: Site) -> None:
    await site.publisher.submit(**FULL, idempotency_key=KEY)
    others: dict[str, Any] = {
        "priority": 1,
        "max_attempts": 5,
        "timeout": 31,
        "retry_delay": 6,
        "delay": 31,
        "callback_url": "https://example.org/other",
    }
    changed = FULL | {field: others.get(field, "other")}
    with pytest.raises(BodyConflict):
        await site.publisher.submit(**changed, idempotency_key=KEY)


async def test_the_delay_still_moves_the_start(site: Site) -> None:
    before = datetime.now(UTC)
    job_id = await library(site)
    opening = await site.backend.trail.read(job_id, 1)
    assert opening is not None
    assert opening.after.due_at is not None
    assert before + timedelta(seconds=30) <= opening.after.due_at
    assert opening.after.due_at <= datetime.now(UTC) + timedelta(seconds=30)


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), 1e18, timedelta(days=4000)])
async def test_a_delay_that_is_none_is_refused_by_name(delay: Any, site: Site) -> None:
    with pytest.raises(InvalidRequest, match="delay") as refused:
        await site.publisher.submit("mail.send", delay=delay)
    assert refused.value.field == "delay"


@pytest.mark.parametrize("by_key", [True, False], ids=["key", "job id"])
async def test_a_key_used_again_with_another_type_is_refused_naming_both(
    by_key: bool, site: Site
) -> None:
    how: dict[str, Any] = (
        {"idempotency_key": KEY} if by_key else {"job_id": JobRequest(type="t").job_id}
    )
    await site.publisher.submit("mail.send", **how)
    with pytest.raises(BodyConflict) as refused:
        await site.publisher.submit("invoice.make", **how)
    assert "mail.send" in str(refused.value)
    assert "invoice.make" in str(refused.value)
    assert "invoice/2026-11" in str(refused.value)
