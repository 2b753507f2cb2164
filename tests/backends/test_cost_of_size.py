"""What stands in the tables does not make a page or a job's history dearer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_backends.azure_backend import open_azure
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.job import new_id
from tests.conformance.jobs import a_life

pytestmark = pytest.mark.servers
FEW, MANY = 200, 20_000
ROWS = 100
"""Of one transaction."""


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
async def test_the_last_200_events_and_a_history_cost_the_same_with_200_and_with_20000_jobs(
    backend: Backend,
) -> None:
    life = a_life()
    for event in life:
        await backend.trail.insert([event])
    await _fill(backend, FEW)
    with_few = await _cost(backend, life)
    await _fill(backend, MANY - FEW)
    assert await _cost(backend, life) == with_few


async def _cost(backend: Backend, life: Sequence[Event]) -> tuple[int, int, int, int]:
    """Requests and rows of the last events, requests and rows of one history."""
    assert backend.requests is not None
    begun = backend.requests.total()
    page = await backend.reader.events(EventQuery(limit=FEW))
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
