"""A publish wakes a waiting consumer at once; without sockets it is found by looking."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite import job_consumer
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.sqlite.wake_signal import FOLDER, WakeNotifier, WakeSignal
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage

MESSAGE = JobMessage(request=JobRequest(type="x"))
LONG = timedelta(seconds=30)


@pytest.fixture
def without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers look by themselves so seldom that only a wake signal can wake them in time."""
    monkeypatch.setattr(job_consumer, "POLL_BESIDE_SIGNAL_SECONDS", 600.0)


async def opened(folder: Path) -> Backend:
    return await open_embedded(Settings(backend="embedded", data_dir=folder))


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    backend = await opened(tmp_path)
    yield backend
    await backend.close()


async def receive_one(backend: Backend, publish: Callable[[], object]) -> None:
    consumer = backend.consumer()
    await consumer.start(["default"])
    waiting = asyncio.create_task(consumer.receive(1, LONG))
    await asyncio.sleep(0.1)  # several looks: an idle consumer would have returned
    assert not waiting.done()
    assert consumer._wake_signal.is_open  # type: ignore[attr-defined]
    await publish()  # type: ignore[misc]
    async with asyncio.timeout(60):
        [delivery] = await waiting
    await delivery.ack()
    await consumer.stop()


@pytest.mark.usefixtures("without_looking")
async def test_a_publish_wakes_a_consumer_of_another_process(tmp_path: Path) -> None:
    worker, publisher = await opened(tmp_path), await opened(tmp_path)
    await receive_one(worker, lambda: publisher.queue.publish(MESSAGE))
    await worker.close()
    await publisher.close()


@pytest.mark.usefixtures("without_looking")
async def test_a_message_for_later_wakes_it_so_that_it_knows_the_time(backend: Backend) -> None:
    soon = timedelta(milliseconds=300)
    await receive_one(backend, lambda: backend.queue.publish_later(MESSAGE, soon))


@pytest.mark.usefixtures("without_looking")
async def test_a_data_folder_with_a_long_path_has_sockets_too(tmp_path: Path) -> None:
    backend = await opened(tmp_path / ("long" * 30))
    await receive_one(backend, lambda: backend.queue.publish(MESSAGE))
    await backend.close()


async def test_where_no_socket_can_be_made_the_consumer_looks_by_itself(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    consumer = backend.consumer()
    await consumer.start(["default"])
    waiting = asyncio.create_task(consumer.receive(1, LONG))
    await asyncio.sleep(0.1)  # the consumer has looked in vain, and sleeps
    await backend.queue.publish(MESSAGE)
    async with asyncio.timeout(60):
        [delivery] = await waiting
    await delivery.ack()
    await consumer.stop()


async def test_the_socket_of_a_dead_process_is_removed_by_the_next_signal(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    left = tmp_path / FOLDER / "left"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(left))
    alive = WakeSignal(tmp_path)
    alive.open()
    WakeNotifier(tmp_path).notify()
    async with asyncio.timeout(60):
        await alive.woken.wait()
    assert not left.exists()
    alive.close()
    assert list((tmp_path / FOLDER).iterdir()) == []


async def test_a_signal_removes_no_file_that_is_not_a_socket(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    kept = tmp_path / FOLDER / "kept"
    kept.write_text("of somebody else")
    (tmp_path / FOLDER / "link").symlink_to(kept)
    alive = WakeSignal(tmp_path)
    alive.open()
    WakeNotifier(tmp_path).notify()
    async with asyncio.timeout(60):
        await alive.woken.wait()
    alive.close()
    assert kept.read_text() == "of somebody else"


async def test_an_idle_consumer_sleeps(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal without a message must not leave it awake for good."""
    consumer = backend.consumer()
    await consumer.start(["default"])
    looks = 0
    wait_for_signal = consumer._wait_for_signal  # type: ignore[attr-defined]

    async def counted(seconds: float) -> None:
        nonlocal looks
        looks += 1
        await wait_for_signal(seconds)

    monkeypatch.setattr(consumer, "_wait_for_signal", counted)
    waiting = asyncio.create_task(consumer.receive(1, timedelta(seconds=1)))
    await asyncio.sleep(0.1)  # the consumer has looked in vain, and sleeps
    consumer._wake_signal.woken.set()  # type: ignore[attr-defined]
    assert await waiting == []
    assert looks < 20
    await consumer.stop()
