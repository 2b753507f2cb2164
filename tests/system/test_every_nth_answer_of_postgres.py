"""Trap: a session lost in a commit read as "not written".

A proxy lets the server do what it was asked and loses its nth answer with the session, for n over
the whole life of each kind of job. Whatever the answer was, the job ends once, as it would have.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.settings import Settings
from tests.chaos.tcp_proxy import TcpProxy
from tests.polling import eventually
from tests.system.azure_workshop import opened_workshop
from tests.system.test_every_nth_request import LIVES, SEED, live
from tests.worker.workshop import Workshop

pytestmark = pytest.mark.servers

BEYOND = 10
SAMPLE = ("steps", "cancel", "lock key")


class LossyProxy(TcpProxy):
    """Counts what the server says, and ends the session in the place of one answer.

    Attributes:
        seen: answers since the proxy was armed.
        lost: how many were lost since the beginning.
    """

    def __init__(self, *, target_port: int) -> None:
        super().__init__(target_port=target_port)
        self.seen = self.lost = self._at = 0

    def arm(self, nth: int) -> None:
        """Lose the nth answer from now on."""
        self.seen, self._at = 0, nth

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._answers(there, writer, back))
        self._drop(writer)
        self._drop(back)

    async def _answers(
        self,
        source: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
    ) -> None:
        try:
            while data := await source.read(1_048_576):
                self.seen += 1
                if self.seen == self._at:
                    self.lost += 1
                    client.transport.abort()
                    server.transport.abort()
                    return
                client.write(data)
                await client.drain()
        except OSError:
            return
        client.close()


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[LossyProxy]:
    port = postgres.url.rpartition(":")[2].partition("/")[0]
    proxy = LossyProxy(target_port=int(port))
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def workshop(
    postgres: PostgresServer, postgres_schema: str, proxy: LossyProxy
) -> AsyncIterator[Workshop]:
    host, _, rest = postgres.url.rpartition(":")
    settings = Settings(
        backend="postgres",
        postgres_url=SecretStr(f"{host}:{proxy.port}/{rest.partition('/')[2]}"),
        postgres_schema=postgres_schema,
    )
    async with opened_workshop(settings) as found:
        found.start_worker(live, rescue_seconds=3, heartbeat_seconds=60)
        await found.run("life", "steps")
        yield found


async def _length_of(workshop: Workshop, proxy: LossyProxy, kind: str) -> int:
    proxy.arm(0)
    await LIVES[kind][0](workshop)
    return proxy.seen + BEYOND


async def _live_through(workshop: Workshop, proxy: LossyProxy, kind: str, nth: int) -> None:
    life, expected = LIVES[kind]
    proxy.arm(nth)
    head = await life(workshop)
    assert head.status == expected, f"{kind}, answer {nth}"
    statuses = await workshop.statuses(head.job_id)
    assert statuses.count(expected) == head.after.incarnation, f"{kind}, answer {nth}"


async def _no_row_is_left(workshop: Workshop, proxy: LossyProxy) -> None:
    proxy.arm(0)

    async def none() -> bool:
        return not (await workshop.real.reader.open_rows()).items

    await eventually("the rescuer has removed every open row", none, seconds=120)


async def test_a_session_lost_in_some_answers_repeats_and_loses_nothing(
    workshop: Workshop, proxy: LossyProxy
) -> None:
    chance = random.Random(SEED)
    for kind in SAMPLE:
        length = await _length_of(workshop, proxy, kind)
        await _live_through(workshop, proxy, kind, chance.randint(1, length))
    await _no_row_is_left(workshop, proxy)
    assert proxy.lost > 0


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", LIVES)
async def test_a_session_lost_in_any_answer_of_a_life_repeats_and_loses_nothing(
    workshop: Workshop, proxy: LossyProxy, kind: str
) -> None:
    for nth in range(1, await _length_of(workshop, proxy, kind) + 1):
        await _live_through(workshop, proxy, kind, nth)
    await _no_row_is_left(workshop, proxy)
