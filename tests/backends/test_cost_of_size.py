"""What stands in the tables makes no page of the dashboard and no job's history dearer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_backends.azure_backend import open_azure
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.app import create_app
from tests.conformance.jobs import a_life
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import options_with
from tests.dashboard.jumping_clock import JumpingClock

pytestmark = pytest.mark.servers
FEW, MANY = 4_000, 20_000
"""With fewer the longest search comes to the end of the timeline."""
LAST = 200
ROWS = 100
"""Of one transaction."""
PAGES = (
    "/",
    "/jobs",
    "/jobs?state=completed",
    "/jobs?state=failed&state=timedOut",
    "/jobs?state=queued",
    "/jobs?type=demo.steps",
    "/jobs?type=nowhere",
    "/jobs?queue=default",
    "/jobs?q=demo",
    "/jobs?q=nowhere",
    "/jobs?lock=nobody",
    "/jobs?window=24h",
    "/jobs/{job}",
    "/workers",
    "/locks",
    "/dead-letters",
    "/errors",
    "/errors?range=7d",
    "/errors/0123456789abcdef",
    "/jobs?q=payload.customer:nobody",
    "/jobs?q=type:nowhere.*",
    "/actions",
    "/jobs/{job}/waiting",
    "/api/stats",
)
MOST_REQUESTS, MOST_ROWS = 30, 8_500
"""Of one page; the most is a text that nothing has, looked for in the last 2,000 events."""


@pytest.fixture
async def backend(rabbitmq: RabbitMQServer, azurite: StorageServer) -> AsyncIterator[Backend]:
    own = uuid.uuid4().hex[:12]
    settings = Settings(
        backend="azure",
        namespace=f"test-{own}",
        lock_container=f"locks-{own}",
        audit_table=f"Test{own}",
        rabbitmq_url=SecretStr(rabbitmq.url),
        storage_connection_string=SecretStr(azurite.connection_string),
    )
    backend = await open_azure(settings)
    yield backend
    await backend.close()


@pytest.mark.timeout(300)
async def test_pages_last_events_and_a_history_cost_the_same_with_4000_and_with_20000_jobs(
    backend: Backend,
) -> None:
    life = a_life()
    for event in life:
        await backend.trail.insert([event])
    await _page_costs(backend, life[0].job_id)  # makes the tables that are not there yet
    await _fill(backend, FEW)
    with_few, pages = await _cost(backend, life), await _page_costs(backend, life[0].job_id)
    await _fill(backend, MANY - FEW)
    assert await _cost(backend, life) == with_few
    assert await _page_costs(backend, life[0].job_id) == pages
    assert max(requests for requests, _ in pages.values()) <= MOST_REQUESTS
    assert max(rows for _, rows in pages.values()) <= MOST_ROWS


async def _page_costs(backend: Backend, job_id: str) -> dict[str, tuple[int, int]]:
    """Requests and rows of each page."""
    assert backend.requests is not None
    clock, costs = JumpingClock(), {}
    client = AsgiClient(create_app(backend=backend, clock=clock, options=options_with()))
    for page in PAGES:
        clock.jump()
        sent, read = backend.requests.total(), backend.requests.rows()
        address, _, query = page.replace("{job}", job_id).partition("?")
        pairs: Any = [pair.partition("=")[::2] for pair in query.split("&") if pair]
        assert (await client.request("GET", address, query=pairs)).status == 200
        costs[page] = backend.requests.total() - sent, backend.requests.rows() - read
    return costs


async def _cost(backend: Backend, life: Sequence[Event]) -> tuple[int, int, int, int]:
    """Requests and rows of the last events, requests and rows of one history."""
    assert backend.requests is not None
    begun = backend.requests.total()
    page = await backend.reader.events(EventQuery(limit=LAST))
    of_page = backend.requests.total()
    history = await backend.trail.history(life[0].job_id)
    of_history = backend.requests.total()
    assert list(history) == list(life)
    return of_page - begun, len(page.items), of_history - of_page, len(history)


async def _fill(backend: Backend, jobs: int) -> None:
    """Store the ends of that many jobs, and as many rows of trails as their neighbours have."""
    template = a_life()[-1]
    for _ in range(jobs // ROWS):
        ends = [_moved(template, new_id(), 4, second) for second in range(ROWS)]
        backend.index.record(ends)
        job_id = new_id()
        await backend.trail.insert([_moved(template, job_id, n, n) for n in range(1, ROWS + 1)])
    await backend.index.flush()


def _moved(event: Event, job_id: str, sequence: int, seconds: int) -> Event:
    return replace(
        event,
        facts=replace(event.facts, job_id=job_id),
        after=replace(event.after, sequence=sequence),
        event_id=new_id(),
        occurred_at=event.occurred_at + timedelta(seconds=seconds),
    )
