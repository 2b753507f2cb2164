"""The key under the fleet's own messages: one for all processes, however they begin."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_backends.rabbitmq import message_key
from jobfleet_backends.rabbitmq.message_key import KEY_NAME, MessageKey
from jobfleet_contracts.errors import BackendUnavailable


class Store:
    """Values that can be lost, and a storage that can be away."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.is_away = False

    async def put(self, name: str, body: bytes) -> None:
        await asyncio.sleep(0)  # others come in between
        if self.is_away:
            raise BackendUnavailable("away")
        self.values.setdefault(name, body)

    async def get(self, name: str) -> bytes | None:
        await asyncio.sleep(0)
        if self.is_away:
            raise BackendUnavailable("away")
        return self.values.get(name)

    async def delete_job(self, job_id: str) -> None:
        self.values.clear()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_key, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(message_key, "_AGAIN_SECONDS", 0.0)


async def test_a_key_that_was_lost_is_put_back_by_whoever_knows_it(store: Store) -> None:
    old = MessageKey(store=store)
    key = await old.find()
    store.values.clear()
    assert await old.find() == key
    assert await MessageKey(store=store).find() == key


async def test_processes_that_know_different_keys_agree_on_the_stored_one(store: Store) -> None:
    old = MessageKey(store=store)
    before = await old.find()
    store.values.clear()
    new = await MessageKey(store=store).find()
    assert new != before
    assert await old.find() == new


async def test_a_key_that_is_known_survives_an_outage_of_the_storage(store: Store) -> None:
    process = MessageKey(store=store)
    key = await process.find()
    store.is_away = True
    assert await process.find() == key
    assert await MessageKey(store=store).find() is None


@pytest.mark.parametrize("value", [b"", b"short", b"x" * 33])
async def test_a_stored_value_that_is_no_key_signs_nothing(store: Store, value: bytes) -> None:
    process = MessageKey(store=store)
    assert await process.find() is not None
    store.values[KEY_NAME] = value
    assert await process.find() is None
