"""Trap: an index that is stale or goes back. A worker's writes to it hang, and land much later."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_contracts.state import State
from jobfleet_protocol.audit.index_drift import DriftCheck
from jobfleet_worker import JobContext, Retry, handler
from tests.polling import eventually
from tests.system.azure_workshop import azure_settings, opened_workshop
from tests.system.lossy_proxy import LossyProxy
from tests.worker.workshop import Workshop


@handler("twice")
async def twice(payload: None, context: JobContext) -> int:
    if context.epoch == 1:
        raise Retry("once more", after=0)
    return context.epoch


@pytest.fixture
async def proxy() -> AsyncIterator[LossyProxy]:
    found = LossyProxy()
    yield found
    found.go_on()
    await found.stop()


@pytest.fixture
async def workshops(
    proxy: LossyProxy, rabbitmq: RabbitMQServer, azurite: StorageServer
) -> AsyncIterator[tuple[Workshop, Workshop]]:
    """The same fleet: once through the proxy, once past it."""
    direct = azure_settings(rabbitmq.url, azurite.connection_string)
    storage = await proxy.start(azurite.connection_string)
    named = azure_settings(rabbitmq.url, storage).storage_connection_string
    through = direct.model_copy(update={"storage_connection_string": named})
    async with opened_workshop(direct) as past, opened_workshop(through) as stalled:
        await past.real.reader.counts()  # the tables are there from now on
        yield stalled, past
        proxy.go_on()


async def differences(workshop: Workshop) -> list[str]:
    drift = DriftCheck()
    async for history in workshop.real.trail.scan():
        drift.add(history)
    return [str(d) for d in await drift.compare(workshop.real.reader, workshop.real.trail)]


@pytest.mark.parametrize(
    "seconds", [2.0, pytest.param(60.0, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])]
)
async def test_index_stale_while_one_writer_hangs_and_not_going_back_when_it_wakes(
    workshops: tuple[Workshop, Workshop], proxy: LossyProxy, seconds: float
) -> None:
    stalled, past = workshops
    proxy.stall(b"JobIndex")
    stalled.start_worker(twice, concurrency=1, worker_id="stalled")
    job_id = await past.submit("twice")
    await past.until_state(job_id, State.RETRYING, seconds=120)
    past.start_worker(twice, worker_id="other")
    assert (await past.until_ended(job_id, seconds=60)).data["result"] == 2
    await asyncio.sleep(seconds)  # how long the writer hangs, by parameter
    assert proxy.held > 0
    assert (await past.real.reader.open_rows()).items == []
    proxy.go_on()

    async def as_in_the_trail() -> bool:
        return await differences(past) == []

    await eventually("every event once, and no open row", as_in_the_trail, seconds=120)
    assert (await past.statuses(job_id)).count("Completed") == 1
