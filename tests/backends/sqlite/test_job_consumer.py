"""SqliteJobConsumer: holding, waiting, and what SQL users put in."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from jobfleet_backends.sqlite import job_consumer
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.ports import JobConsumer
from tests.conformance.deliveries import consuming, received
from tests.conformance.jobs import a_message, an_id
from tests.polling import eventually


def _insert(path: Path, body: str) -> None:
    connection = sqlite3.connect(path, timeout=5)
    with connection:
        connection.execute("INSERT INTO messages (queue, body) VALUES ('default', ?)", (body,))
    connection.close()


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("unanswered", "x"), ("lane", "x"), ("visible_at", "x"), ("hints", b"x")),
        *(("due_at", b"x"), ("holder", b"x"), ("body", 1), ("body", None)),
    ],
)
def test_no_column_of_a_message_takes_a_value_of_another_kind(
    tmp_path: Path, column: str, value: object
) -> None:
    """One such row would end the look of every worker."""
    known = {"queue": "default", "body": "{}"} | {column: value}
    insert = f"INSERT INTO messages ({', '.join(known)}) VALUES ({', '.join('?' * len(known))})"  # noqa: S608
    [path] = tmp_path.rglob("jobfleet.db")
    with (
        closing(sqlite3.connect(path, timeout=60)) as database,
        pytest.raises(sqlite3.IntegrityError),
    ):
        database.execute(insert, tuple(known.values()))


async def test_what_a_vanished_worker_held_comes_back_after_a_while(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "HOLD_SECONDS", 0.3)
    async with consuming(backend) as vanished, consuming(backend) as heir:
        await backend.queue.publish(a_message())
        (held,) = await received(vanished, 1)
        (again,) = await heir.receive(1, timedelta(seconds=5))
        assert again.message == held.message
        await held.ack()
        assert sum(depth.ready for depth in await backend.queue.depths()) == 0
        await again.ack()


async def test_a_living_worker_keeps_what_it_holds(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_consumer, "HOLD_SECONDS", 0.6)
    monkeypatch.setattr(job_consumer, "HOLD_RENEW_SECONDS", 0.1)
    async with consuming(backend) as holder, consuming(backend) as other:
        await backend.queue.publish(a_message())
        (held,) = await received(holder, 1)
        assert list(await other.receive(1, timedelta(seconds=1.2))) == []
        await held.ack()


async def test_a_message_that_some_other_program_inserts_is_found_without_a_wake_signal(
    backend: Backend, path: Path
) -> None:
    async with consuming(backend) as consumer:
        waiting = asyncio.create_task(consumer.receive(1, timedelta(seconds=30)))
        await asyncio.sleep(0.05)  # the consumer has looked in vain, and waits
        _insert(path, f'{{"jobId":"{an_id()}","type":"a"}}')
        async with asyncio.timeout(60):
            (delivery,) = await waiting
        await delivery.ack()


async def test_an_idle_worker_uses_little_of_a_core(backend: Backend) -> None:
    async with consuming(backend) as consumer:
        await consumer.receive(1, timedelta(seconds=0.05))
        shares = [await _share_of_a_core(consumer) for _ in range(3)]
    assert min(shares) < 0.02


async def _share_of_a_core(consumer: JobConsumer) -> float:
    used, began = time.process_time(), time.monotonic()
    await consumer.receive(1, timedelta(seconds=1))
    return (time.process_time() - used) / (time.monotonic() - began)


async def test_a_bare_job_request_may_be_put_in_with_sql(backend: Backend, path: Path) -> None:
    job_id = an_id()
    async with consuming(backend) as consumer:
        _insert(path, f'{{"jobId":"{job_id}","type":"a.b","payload":[1]}}')
        (delivery,) = await received(consumer, 1)
        assert isinstance(delivery.message, JobMessage)
        assert delivery.message.request.job_id == job_id
        assert delivery.message.sequence is None
        await delivery.ack()


@pytest.mark.parametrize("body", ["{", '{"type":"a"}', "[1]", '{"jobId":"x","type":"a"}', ""])
async def test_what_is_no_job_request_comes_whole_with_the_reason(
    backend: Backend, path: Path, body: str
) -> None:
    async with consuming(backend) as consumer:
        _insert(path, body)
        (delivery,) = await received(consumer, 1)
        assert isinstance(delivery.message, MalformedMessage)
        assert delivery.message.body == body.encode()
        assert delivery.message.reason
        await delivery.ack()


async def test_depths_name_a_queue_that_is_served_and_empty(backend: Backend) -> None:
    async def lanes() -> bool:
        depths = await backend.queue.depths()
        return {depth.lane for depth in depths if depth.queue == "reports"} == {
            "high",
            "normal",
            "low",
        }

    async with consuming(backend, "reports"):
        await eventually("the depths name the queue", lanes)
