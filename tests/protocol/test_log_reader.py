"""Pages of a job's log: by bytes, over several attempts, and where nothing or too little stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import InvalidRequest, UnknownJob
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.log_line import LogLine
from jobfleet_protocol.reading.log_reader import LogReader
from tests.protocol.life import Life

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    opened = await open_backend(Settings(backend="embedded", data_dir=tmp_path))
    yield opened
    await opened.close()


def body(epoch: int, *messages: str) -> bytes:
    return b"".join(
        LogLine(at=AT, attempt=epoch, level="info", message=message).encode()
        for message in messages
    )


async def logged(backend: Backend, attempts: dict[int, list[str]]) -> str:
    life = Life().queued()
    await backend.trail.insert(life.events)
    for epoch, messages in attempts.items():
        await backend.logs.append(life.facts.job_id, epoch, 0, body(epoch, *messages))
    return life.facts.job_id


async def test_pages_of_any_size_lead_to_every_line_once_and_to_a_last_page(
    backend: Backend,
) -> None:
    attempts = {epoch: [f"{epoch}.{number}" for number in range(5)] for epoch in (1, 2, 7)}
    job_id = await logged(backend, attempts)
    reader = LogReader(trail=backend.trail, logs=backend.logs)
    wanted = [message for messages in attempts.values() for message in messages]
    for size in (1, 200, 1_000_000):
        found: list[str] = []
        page = await reader.page(job_id, limit_bytes=size)
        while True:
            found += [line.line.message for line in page.lines]
            if page.to_json()["next"] is None:
                break
            page = await reader.page(job_id, cursor=page.cursor, limit_bytes=size)
        assert found == wanted
        later = await reader.page(job_id, cursor=page.cursor)
        assert (later.lines, later.is_last, later.cursor) == ([], True, page.cursor)


async def test_a_page_over_many_short_logs_stops_and_goes_on_at_the_next_one(
    backend: Backend,
) -> None:
    job_id = await logged(backend, {epoch: ["a line"] for epoch in range(1, 31)})
    reader = LogReader(trail=backend.trail, logs=backend.logs)
    first = await reader.page(job_id)
    rest = await reader.page(job_id, cursor=first.cursor)
    assert not first.is_last
    assert rest.is_last
    epochs = [line.epoch for page in (first, rest) for line in page.lines]
    assert epochs == list(range(1, 31))


async def test_the_newest_lines_are_whole_and_say_whether_older_ones_stand_before_them(
    backend: Backend,
) -> None:
    attempts = {1: ["old"], 2: [f"new {number}" for number in range(5)]}
    job_id = await logged(backend, attempts)
    reader = LogReader(trail=backend.trail, logs=backend.logs)
    whole = await reader.newest(job_id)
    assert [line.line.message for line in whole.lines] == [*attempts[1], *attempts[2]]
    assert whole.is_first
    two_and_a_half = int(len(body(2, "new 0")) * 2.5)
    tail = await reader.newest(job_id, limit_bytes=two_and_a_half)
    assert [line.line.message for line in tail.lines] == ["new 3", "new 4"]
    assert not tail.is_first
    exactly_one_attempt = len(body(2, *attempts[2]))
    assert not (await reader.newest(job_id, limit_bytes=exactly_one_attempt)).is_first
    assert (await reader.page(job_id, cursor=tail.cursor)).lines == []


async def test_a_line_that_has_no_end_yet_is_no_line(backend: Backend) -> None:
    job_id = await logged(backend, {1: ["whole"]})
    begun = body(1, "begun")[:-5]
    assert await backend.logs.append(job_id, 1, len(body(1, "whole")), begun)
    reader = LogReader(trail=backend.trail, logs=backend.logs)
    page = await reader.page(job_id)
    assert [line.line.message for line in page.lines] == ["whole"]


async def test_a_job_without_a_log_has_empty_pages_and_an_unknown_job_has_none(
    backend: Backend,
) -> None:
    job_id = await logged(backend, {})
    reader = LogReader(trail=backend.trail, logs=backend.logs)
    for page in (await reader.page(job_id), await reader.newest(job_id)):
        assert page.to_json() == {"items": [], "next": None, "cursor": "0-0"}
    for question in (reader.page(new_id()), reader.newest(new_id())):
        with pytest.raises(UnknownJob):
            await question
    with pytest.raises(InvalidRequest, match="cursor"):
        await reader.page(job_id, cursor="12")
