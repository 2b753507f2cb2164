"""What stands in the tables makes no page of the dashboard and no job's history dearer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_backends.azure_backend import open_azure
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.error_group import dead_group_of
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.job_id import new_id
from tests.conformance.jobs import a_life, after
from tests.dashboard.costed_pages import (
    FOUND,
    GROUP,
    KEY,
    VERDICT,
    Cost,
    costs_of_pages,
    declare,
)

pytestmark = [pytest.mark.servers, pytest.mark.full]
FEW, MANY = 5_000, 20_000
"""With fewer a shard holds less than the longest search and a look at the last minute read."""
LAST = 200
ROWS = 100
"""Of one transaction."""
FAILING = ("demo.steps", "crm.sync", "mail.send", "pdf.make", "report.run", "sms.send")
"""Types of which jobs fail now: the verdict asks for the endings of five."""
FAILED = 60
"""Jobs of each: more than a page shows."""
MOST_REQUESTS = 30
MOST_ROWS = 8_500
"""Of one page; the most is a text that nothing has, looked for in the last 2,000 events."""
MORE_REQUESTS = {
    VERDICT: 24 + 5 * 4,
    FOUND: 4 + 4 + 9 + 64,
    GROUP: 4 + 4 + 9 + 64,
    "/jobs?q=number": 33,
    "/jobs?q=nowhere": 33,
    "/events?q=nowhere": 33,
    "/events?q=-status:step+worker:nobody": 33,
    "/actions/jobs": 3 * 4,
}
"""Of the verdict with five failing types, of pages that ask the trail for each job, of searches."""


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
async def test_pages_last_events_and_a_history_cost_the_same_with_5000_and_with_20000_jobs(
    backend: Backend,
) -> None:
    # All of it is of one minute, soon: no window of the last minutes leaves it while this runs.
    minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=4)
    life = a_life(begin=minute)
    for event in life:
        await backend.trail.insert([event])
    group_id = await _fail(backend, life)
    action_id = await declare(backend, life[0].job_id)

    requests = backend.requests
    assert requests is not None

    async def pages() -> dict[str, Cost]:
        return await costs_of_pages(
            backend,
            lambda: (requests.total(), requests.rows()),
            job_id=life[0].job_id,
            group_id=group_id,
            action_id=action_id,
        )

    await pages()  # makes the tables that are not there yet
    await _fill(backend, life[-1], FEW)
    with_few, few = await _cost(backend, life), await pages()
    await _fill(backend, life[-1], MANY - FEW)
    assert await _cost(backend, life) == with_few
    many = await pages()
    assert {page: cost for page, cost in many.items() if cost != few[page]} == {}
    dear = {page: n for page, (n, _) in many.items() if n > MORE_REQUESTS.get(page, MOST_REQUESTS)}
    assert dear == {}
    assert {page: rows for page, (_, rows) in many.items() if rows > MOST_ROWS} == {}


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


async def _fail(backend: Backend, life: Sequence[Event]) -> str:
    """Store failed jobs that a key finds; return the group of those of the first type."""
    failed = []
    for job_type in FAILING:
        end = after(life[2], "Failed", worker_id="w1", data={"indexed": {KEY: "acme"}})
        facts = replace(end.facts, job_type=job_type)
        failed += [_moved(replace(end, facts=facts), new_id(), 4, 0) for _ in range(FAILED)]
    for event in failed:
        await backend.trail.insert([event])
    backend.index.record(failed)
    await backend.index.flush()
    group_id = dead_group_of(failed[0])
    assert group_id is not None
    return group_id


async def _fill(backend: Backend, template: Event, jobs: int) -> None:
    """Store the ends of that many jobs, and as many rows of trails as their neighbours have."""
    for _ in range(jobs // ROWS):
        backend.index.record([_moved(template, new_id(), 4, second / 2) for second in range(ROWS)])
        job_id = new_id()
        await backend.trail.insert([_moved(template, job_id, n, n) for n in range(1, ROWS + 1)])
    await backend.index.flush()


def _moved(event: Event, job_id: str, sequence: int, seconds: float) -> Event:
    return replace(
        event,
        facts=replace(event.facts, job_id=job_id),
        after=replace(event.after, sequence=sequence),
        event_id=new_id(),
        occurred_at=event.occurred_at + timedelta(seconds=seconds),
    )
