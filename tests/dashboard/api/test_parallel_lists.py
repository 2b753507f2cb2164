"""Lists and exports, however many are asked for at once, leave the event loop to others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from jobfleet_backends.sql import row_codec
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import EventQuery
from jobfleet_dashboard.services import LISTS_AT_ONCE
from jobfleet_protocol.reading.list_export import EVENTS
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.test_jobs import submit
from tests.polling import eventually

ASKED = 25
JOBS = 60


@dataclass
class Reads:
    """How many pages are being read, and how many were at once at most."""

    now: int = 0
    most: int = 0


@contextmanager
def counted_reads(backend: Backend, patch: pytest.MonkeyPatch) -> Iterator[Reads]:
    """Count pages of events that are read; each read lets all other requests come as far."""
    reads, read = Reads(), backend.reader.events

    async def events(query: Any) -> Any:
        reads.now += 1
        reads.most = max(reads.most, reads.now)
        try:
            for _ in range(1_000):
                await asyncio.sleep(0)  # a turn of the loop, no time
            return await read(query)
        finally:
            reads.now -= 1

    with patch.context() as patched:
        patched.setattr(backend.reader, "events", events)
        yield reads


@contextmanager
def decoded_here(patch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Note the rows that this thread decodes, which runs the loop."""
    here, check, found = threading.current_thread(), row_codec.check_row, list[object]()

    def noted(row: Any) -> None:
        if threading.current_thread() is here:
            found.append(row[0])
        check(row)

    with patch.context() as patched:
        patched.setattr(row_codec, "check_row", noted)
        yield found


async def test_rows_are_decoded_in_the_readers_thread(
    client: AsgiClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await submit(client)
    with decoded_here(monkeypatch) as rows:
        for address in (
            "/api/events",
            "/api/jobs",
            "/api/jobs?view=jobs",
            "/api/events/export.jsonl",
            "/api/jobs/export.csv",
            f"/api/jobs/{job_id}",
            f"/api/jobs/{job_id}/events",
            f"/api/jobs/{job_id}/events?steps=false",
        ):
            assert (await client.request("GET", address)).status == 200
        await backend.reader.since(None)
    assert rows == []


@pytest.mark.parametrize("path", ["/api/events?limit=1000", "/api/events/export.jsonl"])
async def test_a_few_lists_are_made_at_once_and_the_others_wait(
    client: AsgiClient, backend: Backend, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    await client.post("/api/jobs/bulk", {"jobs": [{"type": "demo.work"}] * JOBS})
    with counted_reads(backend, monkeypatch) as reads:
        answers = await asyncio.gather(*(client.request("GET", path) for _ in range(ASKED)))
    assert {(answer.status, answer.body.count(b'"eventId"')) for answer in answers} == {(200, JOBS)}
    assert 1 < reads.most <= LISTS_AT_ONCE


async def test_lists_wait_for_a_turn_and_probes_submits_and_single_jobs_do_not(
    client: AsgiClient,
) -> None:
    job_id = await submit(client)
    group = (await client.post("/api/groups", {"name": "imports"})).json["jobId"]
    turn = client.app.state.services.list_turn
    for _ in range(LISTS_AT_ONCE):
        await turn.acquire()
    waiting = [
        asyncio.create_task(client.request("GET", address))
        for address in (
            "/api/events",
            "/api/jobs",
            "/api/jobs?view=jobs",
            "/api/dead-letters",
            "/api/events/export.jsonl",
            "/api/jobs/export.jsonl",
            f"/api/jobs/{job_id}/events",
            f"/api/jobs/{job_id}/logs",
            f"/api/groups/{group}/members",
        )
    ]

    async def all_wait() -> bool:
        return len(turn._waiters or ()) == len(waiting)

    await eventually("all lists wait for a turn", all_wait)
    for address in ("/livez", "/readyz", "/jobs", f"/api/jobs/{job_id}"):
        assert (await client.request("GET", address)).status == 200
    await submit(client)
    for _ in range(LISTS_AT_ONCE):
        turn.release()
    assert {(await each).status for each in waiting} == {200}


async def test_an_export_that_nobody_reads_keeps_no_turn(
    client: AsgiClient, backend: Backend
) -> None:
    await submit(client)
    turn = asyncio.Semaphore(1)
    unread = [EVENTS.json_lines(backend.reader, EventQuery(), turn) for _ in range(3)]
    async with asyncio.timeout(120):
        assert all([await anext(lines) for lines in unread])
    assert not turn.locked()
