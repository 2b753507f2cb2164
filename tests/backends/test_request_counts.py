"""What a job costs in storage requests, from the publisher to the end of its run.

Counted by the backend's own counter, which the azure tests hold against the wire.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_backends.azure.index.index_shard import Pace
from jobfleet_backends.azure_backend import open_azure
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import RESCUER_LOCK, LockScope
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.control.fleet_seal import KNOWN_SECONDS
from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.handlers.declaration import handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker

pytestmark = pytest.mark.servers

JOBS = 192
SLOTS = 96
SHARDS = Settings(_env_file=None).index_shards
BATCHED = "index.write"
SEAL_LOOK = "control.history"
"""Once in five seconds, however many jobs."""


@dataclass(frozen=True, slots=True)
class Account:
    """Requests that one process has sent, by operation.

    Attributes:
        unanswered: timed out on a busy machine; what they asked for was asked for again.
        seconds: that it took.
    """

    answered: Counter[str]
    unanswered: Counter[str]
    seconds: float

    def is_worth(self, operation: str, requests: int) -> bool:
        answered = self.answered[operation]
        return answered <= requests <= answered + self.unanswered[operation]

    def is_between(self, operation: str, fewest: int, most: int) -> bool:
        answered = self.answered[operation]
        return answered <= most and fewest <= answered + self.unanswered[operation]

    @property
    def batches(self) -> int:
        return self.answered[BATCHED]


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


@pytest.fixture
async def processes(settings: Settings) -> AsyncIterator[list[Backend]]:
    """Backends as a publisher, a worker and somebody else have them; the tables stand."""
    async with AsyncExitStack() as stack:
        opened = [await open_azure(settings) for _ in range(3)]
        for backend in opened:
            stack.push_async_callback(backend.close)
        await _warmed_up(opened[-1], settings)
        yield opened


async def test_a_submit_costs_one_request_and_a_share_of_two_batches(
    processes: list[Backend], settings: Settings
) -> None:
    publisher = processes[0]
    account = await _submitted(publisher, settings)
    assert account.answered["index.open"] <= JOBS * 3 / 4  # 64 submits at once share transactions
    assert account.is_worth("trail.insert", JOBS)
    assert set(account.answered) <= {"index.open", "trail.insert", BATCHED} | _ONCE | _WHEN_UNSURE
    assert account.answered[SEAL_LOOK] <= 1 + account.seconds / KNOWN_SECONDS
    assert account.batches <= max(JOBS / 4, _paced(account))


# A message that the broker delivers again costs a look at a finished job, ``again`` of them here.
async def test_a_run_costs_five_requests_and_submit_and_run_share_a_quarter_for_the_index(
    processes: list[Backend], settings: Settings
) -> None:
    publisher, worker, _ = processes
    submitted = await _submitted(publisher, settings)
    ran = await _worked_off(worker, settings)
    again = ran.answered["trail.newest"]
    assert again <= JOBS  # more than none only on a busy machine: docs/protocol.md
    for operation in ("lease.create", "lease.acquire", "lease.delete"):
        # A job that still runs when its message comes again refuses the lease, and that is all.
        assert ran.is_between(operation, JOBS, JOBS + again), (operation, ran)
    assert ran.is_worth("trail.insert", 2 * JOBS), ran
    assert set(ran.answered) <= _OF_A_JOB | _OF_THE_WORKER | _ONCE | _WHEN_UNSURE
    beats = 1 + ran.seconds / WorkerOptions(defaults=settings.job_defaults).heartbeat_seconds
    assert ran.answered["control.heads"] <= 4 * (1 + beats)
    assert submitted.batches + ran.batches <= max(JOBS / 4, _paced(submitted) + _paced(ran))


async def test_in_scope_worker_a_run_costs_two_inserts_and_no_request_to_a_lock(
    processes: list[Backend], settings: Settings
) -> None:
    publisher, worker, _ = processes
    submitted = await _submitted(publisher, settings)
    ran = await _worked_off(worker, settings, lock_scope="worker")
    assert ran.is_worth("trail.insert", 2 * JOBS), ran
    renewals = ran.seconds / WorkerOptions(defaults=settings.job_defaults).renew_seconds
    # The worker's own lock, however many jobs rest on it. The leader's is held by somebody else.
    for operation in ("lease.create", "lease.delete"):
        assert ran.is_worth(operation, 1), (operation, ran)
    assert ran.is_worth("lease.acquire", 1), ran
    assert ran.answered["lease.renew"] <= 1 + renewals
    again = ran.answered["trail.newest"]
    assert again <= JOBS
    assert ran.answered["lease.look"] <= again  # of a job that came again while it ran
    known = {"trail.insert", "lease.create", "lease.acquire", "lease.delete", "lease.renew"}
    beside = _OF_THE_WORKER | _ONCE | _WHEN_UNSURE | {"lease.look"}
    assert set(ran.answered) <= known | beside
    assert submitted.batches + ran.batches <= max(JOBS / 4, _paced(submitted) + _paced(ran))


_OF_A_JOB = {"lease.create", "lease.acquire", "trail.insert", "lease.delete"}
_OF_THE_WORKER = {BATCHED, "trail.newest", "worker.beat", "worker.remove", "control.heads"}
"""Pauses and limits are read with each heartbeat, however many jobs run."""
_ONCE = {
    "payload.get",
    "payload.put",
    "container.create",
    "table.create",
    "index.shards",
    SEAL_LOOK,
}
"""Each process reads the key of the messages; the first one makes it, and what is missing."""
_WHEN_UNSURE = {"trail.read"}
"""The append rule's look, where an answer did not come."""


def _paced(account: Account) -> float:
    """Return the batches of a machine so slow that rows wait their longest for company in vain."""
    return 1.25 * SHARDS * (1 + account.seconds / Pace().awaited)


async def _submitted(publisher: Backend, settings: Settings) -> Account:
    before, began = _sent(publisher), time.monotonic()
    submitter = WriteSide.wire(
        backend=publisher, clock=SystemClock(), defaults=settings.job_defaults
    ).submitter
    await submitter.submit_many([JobRequest(type="count.noop") for _ in range(JOBS)])
    await publisher.index.flush()
    return _since(publisher, before, began)


async def _worked_off(
    backend: Backend, settings: Settings, lock_scope: LockScope = "job"
) -> Account:
    before, began, started = _sent(backend), time.monotonic(), set[str]()

    @handler("count.noop")
    async def noop(_payload: None, context: JobContext) -> None:
        started.add(context.job.job_id)

    options = WorkerOptions(
        defaults=settings.job_defaults, concurrency=SLOTS, drain_seconds=5, lock_scope=lock_scope
    )
    worker = Worker(
        backend=backend, handlers=Handlers.of(noop), options=options, clock=SystemClock()
    )
    running = asyncio.create_task(worker.run(), name="worker")
    async with asyncio.timeout(90):
        while len(started) < JOBS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    worker.request_stop()
    await running
    await backend.index.flush()
    return _since(backend, before, began)


async def _warmed_up(bystander: Backend, settings: Settings) -> None:
    """Make the tables, and keep the rescuer's lease, so that no sweep is counted."""
    await bystander.trail.newest(str(uuid.uuid4()))
    await bystander.reader.counts()
    await bystander.directory.workers()
    await bystander.leases.create(RESCUER_LOCK)
    await bystander.leases.acquire(RESCUER_LOCK, str(uuid.uuid4()), 60)


def _sent(backend: Backend) -> Mapping[tuple[str, str], int]:
    assert backend.requests is not None
    return backend.requests.counts()


def _since(backend: Backend, before: Mapping[tuple[str, str], int], began: float) -> Account:
    by_result: dict[str, Counter[str]] = defaultdict(Counter)
    for (operation, result), count in _sent(backend).items():
        by_result[result][operation] = count - before.get((operation, result), 0)
    seconds = time.monotonic() - began
    return Account(+by_result["ok"], +by_result["unavailable"], seconds)
