"""Trap: a refusal or a dropped connection read as "not written".

A proxy applies the nth storage request and loses its reply, for n over the whole life of each
kind of job. Whatever the request was, the job ends once, as it would have, and its trail is whole.
"""

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from devtools.servers import RabbitMQServer, StorageServer
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.log_line import MAX_LOG_BYTES, LogLine
from jobfleet_contracts.state import State
from jobfleet_worker import Defer, JobContext, Retry, handler
from jobfleet_worker.run.attempt_log import FLUSH_SECONDS
from tests.polling import eventually
from tests.system.azure_workshop import azure_settings, opened_workshop
from tests.system.lossy_proxy import Loss, LossyProxy
from tests.worker.workshop import Workshop

BEYOND = 3
"""Requests after the last of a life that are tried as well: the rescuer's, the clean-up's."""
SEED = os.environ.get("PYTEST_SEED", "1")


SAID = ("one", "two")
_log = logging.getLogger("life")


@handler("life")
async def live(payload: str, context: JobContext) -> Any:
    """Lives as its payload says."""
    first = context.epoch == 1
    match payload:
        case "steps":
            await context.progress(1, 2)
            await context.checkpoint("half way")
        case "large":
            return "x" * 100_000
        case "logs":
            for line in SAID:
                _log.warning(line)
                await asyncio.sleep(FLUSH_SECONDS + 0.2)
        case "retry" if first:
            raise Retry("once more", after=0)
        case "defer" if first:
            raise Defer(0, "not yet")
        case "fail":
            raise ValueError("for good")
        case "cancel":
            await context.progress(1)
            await _until_cancelled(context)
    return payload


async def _until_cancelled(context: JobContext) -> None:
    while not context.cancelled:  # noqa: ASYNC110 - as handlers do
        await asyncio.sleep(0.02)


Life = Callable[[Workshop], Awaitable[Event]]


async def insisting(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat what was not answered, as a client has to."""
    for _ in range(5):
        try:
            return await ask()
        except BackendUnavailable:
            await asyncio.sleep(0.05)
    return await ask()


async def submitted(workshop: Workshop, kind: str, **fields: Any) -> str:
    job_id = new_id()
    await insisting(lambda: workshop.submit("life", kind, job_id=job_id, **fields))
    return job_id


def simply(kind: str, **fields: Any) -> Life:
    async def life(workshop: Workshop) -> Event:
        job_id = await submitted(workshop, kind, **fields)
        return await workshop.until_ended(job_id, seconds=60)

    return life


async def cancelled(workshop: Workshop) -> Event:
    job_id = await submitted(workshop, "cancel")
    await workshop.until_state(job_id, State.RUNNING, State.COMPLETED)
    await insisting(lambda: workshop.canceller.cancel(job_id, by="a test"))
    return await workshop.until_ended(job_id, seconds=60)


async def redriven(workshop: Workshop) -> Event:
    job_id = await submitted(workshop, "fail", max_attempts=1)
    await workshop.until_state(job_id, State.FAILED, seconds=60)
    await insisting(lambda: workshop.redriver.redrive(job_id, by="a test"))

    async def second_end() -> Event | None:
        head = await workshop.head(job_id)
        return head if head.after.incarnation == 2 and head.after.state.is_terminal else None

    found: Event = await eventually("the second end", second_end, seconds=60)
    return found


async def one_after_the_other(workshop: Workshop) -> Event:
    job_ids = [await submitted(workshop, "steps", lock_key="k") for _ in range(2)]
    ends = [await workshop.until_ended(job_id, seconds=60) for job_id in job_ids]
    assert {end.status for end in ends} == {"Completed"}
    return ends[-1]


LIVES: dict[str, tuple[Life, str]] = {
    "steps": (simply("steps"), "Completed"),
    "large": (simply("large"), "Completed"),
    "logs": (simply("logs"), "Completed"),
    "retry": (simply("retry"), "Completed"),
    "defer": (simply("defer"), "Completed"),
    "fail": (simply("fail", max_attempts=1), "Failed"),
    "cancel": (cancelled, "Cancelled"),
    "redrive": (redriven, "Failed"),
    "lock key": (one_after_the_other, "Completed"),
}
LOSSES: tuple[Loss, ...] = ("drop", "503")


@pytest.fixture
async def proxy(azurite: StorageServer) -> AsyncIterator[LossyProxy]:
    found = LossyProxy()
    yield found
    await found.stop()


@pytest.fixture
async def workshop(
    proxy: LossyProxy, rabbitmq: RabbitMQServer, azurite: StorageServer
) -> AsyncIterator[Workshop]:
    storage = await proxy.start(azurite.connection_string)
    async with opened_workshop(azure_settings(rabbitmq.url, storage)) as found:
        found.start_worker(live, rescue_seconds=3, heartbeat_seconds=60)
        await found.run("life", "steps")  # tables and containers are there from now on
        yield found


async def length_of(workshop: Workshop, proxy: LossyProxy, kind: str) -> int:
    """How many storage requests this kind of life takes while nothing goes wrong."""
    proxy.arm(0, "drop")
    await LIVES[kind][0](workshop)
    return proxy.seen + BEYOND


async def live_through(
    workshop: Workshop, proxy: LossyProxy, kind: str, nth: int, how: Loss
) -> None:
    life, expected = LIVES[kind]
    proxy.arm(nth, how)
    head = await life(workshop)
    case = f"{kind}, request {nth} ({proxy.lost}), {how}"
    assert head.status == expected, case
    statuses = await workshop.statuses(head.job_id)
    assert statuses.count(expected) == head.after.incarnation, case
    assert await logged(workshop, head.job_id) in ((), SAID[:1], SAID[1:], SAID), case


async def logged(workshop: Workshop, job_id: str) -> tuple[str, ...]:
    """What the job's only attempt has said: lines may be lost, none is doubled."""
    body = await workshop.real.logs.read(job_id, 1, limit=MAX_LOG_BYTES)
    return tuple(LogLine.decode(line).message for line in body.splitlines())


async def no_row_is_left(workshop: Workshop, proxy: LossyProxy) -> None:
    proxy.arm(0, "drop")

    async def none() -> bool:
        return not (await workshop.real.reader.open_rows()).items

    await eventually("the rescuer has removed every open row", none, seconds=120)


async def test_refusal_or_lost_reply_read_as_not_written_in_some_requests(
    workshop: Workshop, proxy: LossyProxy
) -> None:
    chance = random.Random(SEED)
    for kind in LIVES:
        length = await length_of(workshop, proxy, kind)
        for how in LOSSES:
            await live_through(workshop, proxy, kind, chance.randint(1, length), how)
    await no_row_is_left(workshop, proxy)
    assert sum(proxy.losses.values()) > len(LIVES)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("kind", LIVES)
async def test_refusal_or_lost_reply_read_as_not_written_in_any_request_of_a_life(
    workshop: Workshop, proxy: LossyProxy, kind: str, how: Loss
) -> None:
    for nth in range(1, await length_of(workshop, proxy, kind) + 1):
        await live_through(workshop, proxy, kind, nth, how)
    await no_row_is_left(workshop, proxy)
