"""A client that may only write to the broker cannot change what a recorded job runs."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from pydantic import SecretStr

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_backends.azure_backend import open_azure
from jobfleet_backends.rabbitmq.message_codec import encode_message
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.actions.submission import opening_change
from jobfleet_protocol.audit.verification import verify_trail
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import draft
from jobfleet_worker import handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker
from tests.backends.rabbitmq import foreign_client
from tests.polling import eventually

pytestmark = pytest.mark.servers

HASH = "0" * 64


@handler("echo")
async def echo(payload: object) -> object:
    return payload


@pytest.fixture
def settings(rabbitmq: RabbitMQServer, azurite: StorageServer) -> Settings:
    own = uuid.uuid4().hex[:12]
    return Settings(
        backend="azure",
        namespace=f"test-{own}",
        lock_container=f"locks-{own}",
        audit_table=f"Test{own}",
        rabbitmq_url=SecretStr(rabbitmq.url),
        storage_connection_string=SecretStr(azurite.connection_string),
    )


async def test_forged_hints_neither_replace_a_request_nor_begin_a_trail_in_its_middle(
    settings: Settings, rabbitmq: RabbitMQServer
) -> None:
    backend = await open_azure(settings)
    options = WorkerOptions(defaults=settings.job_defaults, defer_seconds=0.1, drain_seconds=5)
    worker = Worker(
        backend=backend, handlers=Handlers.of(echo), options=options, clock=SystemClock()
    )
    running = asyncio.create_task(worker.run(), name="worker")
    async with asyncio.timeout(60):
        await worker.has_started.wait()  # its queues and their exchange are there
    forgeries: tuple[dict[str, Any], ...] = (
        {"sequence": 1, "opening_hash": HASH},
        {"sequence": 1},
        {"sequence": 2},
        {"sequence": 7, "opening_hash": HASH},
    )
    for hints in forgeries:
        for stands in (True, False):
            stored = JobRequest(type="echo", payload="stored")
            if stands:
                await _begin(backend, settings, stored)
            forged = JobMessage(
                request=JobRequest(type="echo", job_id=stored.job_id, payload="forged"),
                defaults=settings.job_defaults,
                published_at=SystemClock().now(),
                **hints,
            )
            _publish(rabbitmq, settings, forged)
            end = await _ended(backend, stored.job_id)
            assert end.data["result"] == ("stored" if stands else "forged"), hints
            history = await backend.trail.history(stored.job_id)
            assert [event.sequence for event in history] == [1, 2, 3], hints
            assert history[0].data["request"]["payload"] == end.data["result"]
    assert (await verify_trail(backend.trail)).violations.total == 0
    worker.request_stop()
    await running
    await backend.close()


def _publish(rabbitmq: RabbitMQServer, settings: Settings, message: JobMessage) -> None:
    """Publish as somebody who knows everything but the key of the fleet's messages."""
    outgoing = encode_message(message, key=b"not the key of the fleet's messages")
    foreign_client.publish(
        rabbitmq.url,
        f"{settings.namespace}.jobs",
        outgoing.body,
        headers=dict(outgoing.headers),
        message_id=message.request.job_id,
    )


async def _begin(backend: Backend, settings: Settings, stored: JobRequest) -> None:
    now = SystemClock().now()
    change = opening_change(stored, settings.job_defaults, now=now, by=None)
    event = draft(None, JobFacts.of(stored), change, occurred_at=now)
    writer = TrailWriter(
        trail=backend.trail,
        index=backend.index,
        feed=backend.feed,
        payloads=backend.payloads,
        limits=backend.limits,
    )
    assert await writer.append([event]) is None


async def _ended(backend: Backend, job_id: str) -> Event:
    async def head() -> Event | None:
        found = await backend.trail.newest(job_id)
        return found if found is not None and found.after.state.is_terminal else None

    event: Event = await eventually("the job's end", head)
    return event
