"""JobLogs: bytes appended under their position, read in pages, removed with their job."""

from __future__ import annotations

import asyncio

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_logs import LogSize
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import an_id

pytestmark = WITH_FAKES
WHOLE = 10_000_000


async def test_what_is_appended_comes_back_in_any_pages(backend: Backend, other: Backend) -> None:
    job_id = an_id()
    parts = [b"first\n", bytes(range(256)) * 300, b"last\n"]
    position = 0
    for part in parts:
        assert await backend.logs.append(job_id, 7, position, part)
        position += len(part)
    body = b"".join(parts)
    assert await other.logs.read(job_id, 7, limit=WHOLE) == body
    assert await other.logs.read(job_id, 7, start=3, limit=5) == body[3:8]
    assert await other.logs.read(job_id, 7, start=6, limit=76_800) == parts[1]
    assert await other.logs.read(job_id, 7, start=len(body) - 2, limit=100) == b"t\n"
    assert await other.logs.read(job_id, 7, start=len(body), limit=100) == b""
    assert await other.logs.read(job_id, 7, start=len(body) + 9, limit=100) == b""


async def test_a_repeated_append_doubles_nothing(backend: Backend) -> None:
    job_id = an_id()
    for position, part in ((0, b"one\n"), (4, b"two\n")):
        for _ in range(3):
            assert await backend.logs.append(job_id, 1, position, part)
    assert await backend.logs.read(job_id, 1, limit=WHOLE) == b"one\ntwo\n"


async def test_overlapping_tries_of_one_append_double_nothing(backend: Backend) -> None:
    job_id = an_id()
    tries = [backend.logs.append(job_id, 1, 0, b"one\n") for _ in range(5)]
    assert all(await asyncio.gather(*tries))
    assert await backend.logs.read(job_id, 1, limit=WHOLE) == b"one\n"


async def test_each_epoch_has_a_log_of_its_own(backend: Backend) -> None:
    job_id, other_id = an_id(), an_id()
    assert await backend.logs.sizes(job_id) == []
    for epoch in (10, 2):
        assert await backend.logs.append(job_id, epoch, 0, b"x" * epoch)
    assert await backend.logs.append(other_id, 1, 0, b"y")
    assert await backend.logs.sizes(job_id) == [LogSize(2, 2), LogSize(10, 10)]
    assert await backend.logs.read(job_id, 3, limit=WHOLE) == b""


async def test_an_append_elsewhere_than_at_the_end_is_refused(backend: Backend) -> None:
    job_id = an_id()
    assert not await backend.logs.append(job_id, 1, 4, b"two\n")
    assert await backend.logs.sizes(job_id) == []
    assert await backend.logs.append(job_id, 1, 0, b"one\n")
    assert not await backend.logs.append(job_id, 1, 9, b"gap\n")
    assert not await backend.logs.append(job_id, 1, 0, b"longer\n")
    assert await backend.logs.read(job_id, 1, limit=WHOLE) == b"one\n"


async def test_a_removed_log_takes_no_more(backend: Backend, other: Backend) -> None:
    job_id, other_id = an_id(), an_id()
    for epoch in (1, 2):
        assert await backend.logs.append(job_id, epoch, 0, b"one\n")
    assert await backend.logs.append(other_id, 1, 0, b"kept\n")
    for _ in range(2):
        await other.logs.remove(job_id)
    assert not await backend.logs.append(job_id, 1, 4, b"two\n")
    assert await backend.logs.sizes(job_id) == []
    assert await backend.logs.read(job_id, 1, limit=WHOLE) == b""
    assert await backend.logs.read(other_id, 1, limit=WHOLE) == b"kept\n"
