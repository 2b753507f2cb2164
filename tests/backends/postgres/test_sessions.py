"""Sessions of a process: opened again after the server was restarted, ended where it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.postgres import session_threads
from jobfleet_backends.postgres.batch import BatchStatement
from jobfleet_backends.postgres.connection import Address
from jobfleet_backends.postgres.database import Database
from jobfleet_backends.postgres.notifier import Notifier
from jobfleet_backends.postgres.ranks import Rank
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from tests.chaos.tcp_proxy import TcpProxy
from tests.conformance.deliveries import consuming
from tests.conformance.jobs import a_life, a_message, an_id, queued
from tests.polling import eventually

pytestmark = pytest.mark.servers


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(target_port=int(postgres.url.rpartition(":")[2].partition("/")[0]))
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
def proxied(settings: Settings, postgres: PostgresServer, proxy: TcpProxy) -> Settings:
    host, _, rest = postgres.url.rpartition(":")
    url = f"{host}:{proxy.port}/{rest.partition('/')[2]}"
    return settings.model_copy(update={"postgres_url": SecretStr(url)})


@pytest.fixture
async def named_backend(settings: Settings) -> AsyncIterator[Backend]:
    """One whose sessions have a name of their own: other tests use the same server."""
    url = f"{settings.postgres_url.get_secret_value()}?application_name=named"
    backend = await open_backend(settings.model_copy(update={"postgres_url": SecretStr(url)}))
    yield backend
    await backend.close()


async def test_sessions_that_the_server_ended_while_they_were_idle_cost_no_answer(
    named_backend: Backend, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = named_backend
    monkeypatch.setattr(session_threads, "_IDLE_SECONDS", 0)
    life = a_life()
    await backend.trail.insert(life)
    for _ in range(6):
        await backend.trail.newest(life[0].job_id)
    url = settings.postgres_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'named'"
        )
        ended = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'named'"

        async def all_ended() -> bool:
            return session.execute(ended).fetchone() == (0,)

        await eventually("the sessions have ended", all_ended)
    await backend.trail.insert([queued()])
    found = [await backend.trail.newest(life[0].job_id) for _ in range(6)]
    assert found == [life[-1]] * 6


async def test_a_server_that_is_away_is_no_error_of_the_start(
    proxied: Settings, proxy: TcpProxy
) -> None:
    await proxy.stop()
    backend = await open_backend(proxied)
    try:
        with pytest.raises(BackendUnavailable, match="Connection refused"):
            await backend.trail.newest("x")
        recorded = backend.index.record(a_life())
        await backend.consumer().start(["default"])
    finally:
        await backend.close()  # it waits for nobody
    with pytest.raises(BackendUnavailable):
        await recorded


async def test_a_worker_stops_in_good_order_while_the_server_is_away(
    proxied: Settings, proxy: TcpProxy
) -> None:
    backend = await open_backend(proxied)
    try:
        async with consuming(backend) as consumer:
            await backend.queue.publish(a_message())
            assert await consumer.receive(1, timedelta(seconds=5))
            await proxy.stop()
    finally:
        await backend.close()


async def test_a_silent_server_is_not_waited_for(proxied: Settings, proxy: TcpProxy) -> None:
    backend = await open_backend(proxied)
    leases, close = backend.renewal_leases()
    try:
        await backend.leases.acquire("job/aa/x", "mine", 30, create=True)
        await leases.renew("job/aa/x", "mine", 30)  # its connection is open from here on
        proxy.stall()
        with pytest.raises(BackendUnavailable):
            await asyncio.wait_for(leases.renew("job/aa/x", "mine", 30), 8)
        with pytest.raises(BackendUnavailable):
            await asyncio.wait_for(backend.queue.publish(a_message(), timeout=0.5), 5)
    finally:
        proxy.resume()
        proxy.cut()
        await close()
        await backend.close()


async def test_what_the_index_could_not_write_stands_when_the_server_is_back(
    proxied: Settings, proxy: TcpProxy, backend: Backend
) -> None:
    through = await open_backend(proxied)
    try:
        await through.index.record([queued()])
        proxy.stall()
        recorded = [through.index.record(a_life()) for _ in range(3)]
        await asyncio.sleep(0.1)  # the rows are on their way when the connection breaks
        proxy.cut()
        proxy.resume()
        async with asyncio.timeout(30):
            await asyncio.gather(*recorded)
        assert sum((await backend.reader.counts()).values()) == 4
    finally:
        await through.close()


async def test_live_cursors_follow_transactions_that_commit_late(
    backend: Backend, settings: Settings
) -> None:
    await backend.trail.insert([queued()])
    (newest,) = await backend.reader.since(None)
    url, schema = settings.postgres_url.get_secret_value(), settings.postgres_schema
    late = queued()
    with psycopg.connect(url) as session:
        # An open transaction that has written; what it writes at last was begun before the others.
        session.execute("SELECT pg_current_xact_id()")
        early = [queued() for _ in range(3)]
        for event in early:
            await backend.trail.insert([event])
        assert await backend.reader.since(newest.cursor) == []
        changes = "'job_id', %s::text, 'event_id', %s::text, 'xid', pg_current_xact_id()"
        changed = f"(jsonb_populate_record(it, jsonb_build_object({changes}))).*"
        copy = f"INSERT INTO {schema}.trail SELECT {changed} FROM {schema}.trail AS it"  # noqa: S608
        values = late.job_id, late.event_id, early[0].job_id
        session.execute(f"{copy} WHERE job_id = %s".encode(), values)
        session.commit()
    entries = await backend.reader.since(newest.cursor)
    assert [entry.event.event_id for entry in entries] == [
        late.event_id,
        *(event.event_id for event in early),
    ]
    cursor, seen = newest.cursor, []
    while found := await backend.reader.since(cursor, limit=1):
        seen += [entry.event.event_id for entry in found]
        cursor = found[-1].cursor
    assert seen == [entry.event.event_id for entry in entries]


async def test_where_no_ring_comes_messages_and_cancels_are_found_by_looking(
    backend: Backend, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler."""
    monkeypatch.setattr(Notifier, "notify", lambda _self, _payload: None)
    monkeypatch.setattr(Notifier, "with_commit", lambda _self, _payload: None)
    other = await open_backend(settings)
    cancels = aiter(other.control.cancels())
    heard = asyncio.ensure_future(anext(cancels))
    try:
        async with consuming(other) as consumer:
            assert list(await consumer.receive(1, timedelta(seconds=0.1))) == []
            waiting = asyncio.create_task(consumer.receive(1, timedelta(seconds=10)))
            await asyncio.sleep(0.3)  # sent earlier, the message would be found by the first look
            await backend.queue.publish(a_message())
            (delivery,) = await waiting
            await delivery.ack()
        job_id = an_id()
        await backend.control.send_cancel(job_id)
        assert await asyncio.wait_for(heard, 10) == job_id
    finally:
        await other.close()


_SHOW: BatchStatement[None, str] = BatchStatement(
    rank=Rank.TRAIL,
    sql="""
    SELECT n, concat_ws(' ', current_setting('synchronous_commit'), current_setting('lock_timeout'),
        current_setting('transaction_isolation'), current_setting('enable_seqscan'))
    FROM json_to_recordset(%s::json) AS rows (n int)
    """,
    rows=lambda _item: [{}],
    outcome=lambda _item, rows: str(rows[0][0]),
)


async def test_each_transaction_has_the_settings_that_it_needs(settings: Settings) -> None:
    """Whatever the role has, and whether or not others lag, notify, or may be written in part."""
    options = quote(
        "-c synchronous_commit=off -c default_transaction_isolation=serializable "
        "-c lock_timeout=9000"
    )
    database = Database(
        address=Address(f"{settings.postgres_url.get_secret_value()}?options={options}"),
        schema=settings.postgres_schema,
        clock=SystemClock(),
        writers=1,
    )
    database.open()
    lagging = replace(_SHOW, may_lag=True)
    torn = replace(_SHOW, may_tear=lambda _item: True)
    waiting, at_once = "on 500ms read committed off", "off 500ms read committed off"
    try:
        for _ in range(3):
            assert await database.write(_SHOW, None) == waiting
            assert await database.write(lagging, None) == at_once
            assert await database.write(_SHOW, None, notification="q") == waiting
            assert await database.write(lagging, None, notification="q") == at_once
            assert await database.write(torn, None) == waiting
            assert await database.write(torn, None, notification="q") == waiting
    finally:
        await database.close()
