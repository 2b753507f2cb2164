"""PayloadStore: values written once, removed with their job."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from tests.conformance.jobs import an_id


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
