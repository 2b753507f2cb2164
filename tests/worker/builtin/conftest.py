"""One worker in this process on an embedded backend, and a target on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobfleet_backends.open_backend import open_backend, with_coder
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.payload_codec import PayloadCodec
from jobfleet_contracts.value_coder import ValueCoder
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.outbound.options import OutboundOptions
from jobfleet_worker.worker import Worker
from tests.polling import eventually
from tests.worker.outbound.target_server import TargetServer

SECRET = "a secret that is shared"


class Workshop:
    """Submits jobs and waits for what becomes of them."""

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self._defaults = settings.job_defaults
        self._clock = SystemClock()
        self._use(backend)
        self._workers: list[tuple[Worker, asyncio.Task[None]]] = []

    def _use(self, backend: Backend) -> None:
        self.backend = backend
        self.writes = WriteSide.wire(backend=backend, clock=self._clock, defaults=self._defaults)
        self.submitter = self.writes.submitter

    def encode_with(self, codec: PayloadCodec) -> None:
        """Let submitter and workers, from here on, encode the values of jobs."""
        self._use(with_coder(self.backend, ValueCoder(codec)))

    def start(self, *handlers: Any, **outbound: Any) -> None:
        given: dict[str, Any] = {
            "allow_private_targets": True,
            "callback_secrets": (SECRET,),
            "callback_base_url": "http://127.0.0.1:1",
        } | outbound
        options = WorkerOptions(
            defaults=self._defaults,
            rescue_seconds=0.2,
            drain_seconds=0.1,
            grace_seconds=0.2,
            outbound=OutboundOptions(**given),
        )
        worker = Worker(
            backend=self.backend,
            handlers=Handlers.of(*handlers) if handlers else Handlers.load(()),
            options=options,
            clock=self._clock,
        )
        self._workers.append((worker, asyncio.create_task(worker.run(), name="worker")))

    async def stop(self) -> None:
        for worker, task in self._workers:
            worker.request_stop()
            await task
        self._workers.clear()

    async def submit(self, job_type: str, payload: Any, **fields: Any) -> str:
        request = JobRequest.parse({"type": job_type, "payload": payload, **fields})
        return (await self.submitter.submit(request)).job_id

    async def until_ended(self, job_id: str) -> Sequence[Event]:
        async def ended() -> bool:
            head = await self.backend.trail.newest(job_id)
            return head is not None and head.after.state.is_terminal

        await eventually(f"the end of job {job_id}", ended, seconds=120)
        return await self.backend.trail.history(job_id)

    async def run(self, job_type: str, payload: Any, **fields: Any) -> Sequence[Event]:
        return await self.until_ended(await self.submit(job_type, payload, **fields))


@pytest.fixture
async def workshop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """A backend of this test's own; the test starts the worker with the options it wants."""
    settings = Settings(data_dir=tmp_path, retry_base_seconds=0.05, _env_file=None)
    backend = await open_backend(settings)
    found = Workshop(backend, settings)
    yield found
    await found.stop()
    await backend.close()


@pytest.fixture
async def target() -> AsyncIterator[TargetServer]:
    """A server on loopback that answers 200 until told otherwise."""
    server = TargetServer()
    await server.start()
    yield server
    await server.stop()
