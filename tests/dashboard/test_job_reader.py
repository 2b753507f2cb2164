"""A record that is known already is brought up to date by what came after it."""

from __future__ import annotations

from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_protocol.reading.job_reader import JobReader
from jobfleet_protocol.reading.page_bytes import MAX_PAGE_BYTES
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit


class _Spy:
    """A trail that counts the rows of its histories."""

    def __init__(self, trail: Any) -> None:
        self._trail, self.rows = trail, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trail, name)

    async def history(self, *args: Any, **named: Any) -> Any:
        found = await self._trail.history(*args, **named)
        self.rows += len(found)
        return found


@pytest.mark.parametrize(("steps", "more", "rows"), [(5, 2, 2), (1_200, 2, 2), (5, 1_100, 1_000)])
async def test_only_what_came_after_a_known_record_is_read(
    backend: Backend, client: AsgiClient, life: Life, steps: int, more: int, rows: int
) -> None:
    trail: Any = _Spy(backend.trail)
    reader = JobReader(trail=trail, payloads=backend.payloads)
    job_id = await submit(client)
    await life.start(job_id)
    await life.steps(job_id, steps)
    known = await reader.read(job_id)
    assert await reader.read(job_id, known=known) == known
    await life.steps(job_id, more)
    trail.rows = 0
    current = await reader.read(job_id, known=known)
    assert trail.rows == rows
    whole = await reader.read(job_id)
    assert list(current.events) == list(whole.events)
    assert (current.request, current.older) == (whole.request, whole.older)


async def test_pages_of_events_end_by_their_size_and_leave_none_out(
    backend: Backend, client: AsgiClient, life: Life
) -> None:
    """120 steps of about 25,000 bytes each: 3 MB."""
    job_id = await submit(client)
    await life.start(job_id)
    for number in range(1, 121):
        await life.step(job_id, number, text="x" * 25_000)
    for beginning, order in (("", 1), ("b10000", -1)):
        seen: list[int] = []
        cursor = beginning
        while True:
            query = f"?cursor={cursor}" if cursor else ""
            answer = await client.get(f"/api/jobs/{job_id}/events{query}")
            assert len(answer.body) < MAX_PAGE_BYTES + 40_000
            page = answer.json
            seen += [event["sequence"] for event in page["items"]][::order]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == list(range(1, 123))[::order]
    answer = await client.get(f"/api/jobs/{job_id}")
    assert len(answer.body) < MAX_PAGE_BYTES + 40_000
    shown = answer.json
    assert shown["events"][-1]["sequence"] == 122
    older = await client.get(f"/api/jobs/{job_id}/events?cursor={shown['eventsNext']}")
    assert older.json["items"][-1]["sequence"] == shown["events"][0]["sequence"] - 1


async def test_a_history_that_was_removed_meanwhile_is_read_anew(
    backend: Backend, client: AsgiClient, life: Life
) -> None:
    reader = JobReader(trail=backend.trail, payloads=backend.payloads)
    short, long = await submit(client), await submit(client)
    await life.start(long)
    known = await reader.read(long)
    assert list((await reader.read(short, known=known)).events) == list(
        (await reader.read(short)).events
    )
