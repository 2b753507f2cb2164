"""PayloadStore: values written once, removed with their job."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jobfleet_backends.rabbitmq.message_key import KEY_NAME, MessageKey
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import DataMissing
from jobfleet_protocol.trail.large_data import resolve
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import an_id, queued

pytestmark = WITH_FAKES


async def test_a_value_comes_back_whole(backend: Backend, other: Backend) -> None:
    name = f"{an_id()}/1/{an_id()}"
    body = bytes(range(256)) * 4096
    await backend.payloads.put(name, body)
    await backend.payloads.put(name, body)
    assert await other.payloads.get(name) == body


async def test_a_missing_value_is_none(backend: Backend) -> None:
    assert await backend.payloads.get(f"{an_id()}/1/{an_id()}") is None


async def test_the_values_of_one_job_are_removed_together(backend: Backend) -> None:
    job_id, other_id = an_id(), an_id()
    mine = [f"{job_id}/{n}/{an_id()}" for n in range(3)]
    theirs = f"{other_id}/1/{an_id()}"
    for name in [*mine, theirs]:
        await backend.payloads.put(name, b"x")
    for _ in range(2):
        await backend.payloads.delete_job(job_id)
    assert [await backend.payloads.get(name) for name in mine] == [None, None, None]
    assert await backend.payloads.get(theirs) == b"x"


async def test_processes_that_begin_at_once_make_one_message_key(
    backend: Backend, other: Backend
) -> None:
    stores = [backend.payloads, other.payloads] * 5
    keys = await asyncio.gather(*(MessageKey(store=store).find() for store in stores))
    assert len(set(keys)) == 1
    assert len(keys[0] or b"") == 32


async def test_a_row_cannot_name_the_fleets_key_or_another_jobs_value(backend: Backend) -> None:
    key = await MessageKey(store=backend.payloads).find()
    assert await backend.payloads.get(KEY_NAME) == key
    event = queued()
    foreign = f"{queued().job_id}/1/x"
    await backend.payloads.put(foreign, b"{}")
    for name in (KEY_NAME, foreign, f"{event.job_id}", "", None, 1):
        with pytest.raises(DataMissing):
            await resolve(replace(event, data={"blob": name, "size": 32}), backend.payloads)
