"""JobOpenings: a job with its open row, its message and its copies comes into being at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.lookup_keys import INDEXED
from jobfleet_contracts.message import JobDefaults, JobMessage
from jobfleet_contracts.state import State
from jobfleet_contracts.transaction import JobOpenings, Opening
from jobfleet_protocol.actions.job_opening import opening_of
from jobfleet_protocol.actions.submission import open_row, opening_change, request_of
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.transitions import draft
from tests.conformance.conftest import SIMULATED
from tests.conformance.deliveries import AT_ONCE, consuming, ids, ready, received
from tests.conformance.jobs import BEGIN, a_request, all_open_rows, an_id, write
from tests.conformance.jobs import open_row as row_of

POSTGRES = pytest.param("postgres", marks=pytest.mark.servers)
IN_ONE_TRANSACTION = pytest.mark.parametrize(
    "settings", ["embedded", POSTGRES, SIMULATED], indirect=True
)
WITH_LISTS = pytest.mark.parametrize("settings", ["embedded", POSTGRES], indirect=True)
DEFAULTS = JobDefaults(3, 2.0, 300.0, 1800.0)


@pytest.fixture
def openings(backend: Backend) -> JobOpenings:
    assert backend.openings is not None
    return backend.openings


def an_opening(
    *,
    now: datetime = BEGIN,
    inline_bytes: int = 32_000,
    keys: dict[str, str] | None = None,
    **fields: object,
) -> Opening:
    request, facts = (made := a_request(**fields)), JobFacts.of(made)
    change = opening_change(request, DEFAULTS, now=now, by="a test", keys=keys)
    event = draft(None, facts, change, occurred_at=now)
    row = open_row(facts, event.after, now)
    return opening_of(request, DEFAULTS, event, row, now=now, inline_bytes=inline_bytes)


async def newest(backend: Backend, opening: Opening) -> Event | None:
    return await backend.trail.newest(opening.event.job_id)


@IN_ONE_TRANSACTION
async def test_row_event_and_message_stand_together(
    backend: Backend, openings: JobOpenings
) -> None:
    opening = an_opening(payload={"a": [1, None, "ü"]}, lock_key="k", priority=8, job_name="n")
    async with consuming(backend) as consumer:
        await openings.write(opening)
        assert await newest(backend, opening) == opening.event
        (row,) = await all_open_rows(backend)
        assert (row.sequence, row.published, row.state) == (1, 1, State.QUEUED)
        assert row.facts == opening.event.facts
        (delivery,) = await received(consumer, 1)
        assert isinstance(delivery.message, JobMessage)
        assert delivery.message == opening.message
        await delivery.ack()


@IN_ONE_TRANSACTION
async def test_an_opening_of_a_job_that_exists_writes_nothing(
    backend: Backend, openings: JobOpenings
) -> None:
    job_id = an_id()
    first, second = an_opening(job_id=job_id), an_opening(job_id=job_id, payload=[2])
    async with consuming(backend) as consumer:
        await openings.write(first)
        (row,) = await all_open_rows(backend)
        with pytest.raises(SequenceTaken):
            await openings.write(second)
        assert await newest(backend, first) == first.event
        assert await all_open_rows(backend) == [row]
        (delivery,) = await received(consumer, 1)
        await delivery.ack()
        assert list(await consumer.receive(1, AT_ONCE)) == []


@IN_ONE_TRANSACTION
async def test_of_many_at_once_only_those_are_refused_whose_job_exists(
    backend: Backend, openings: JobOpenings
) -> None:
    known = an_opening()
    await openings.write(known)
    twin = an_opening()
    others = [an_opening() for _ in range(70)]
    asked = [*others[:30], an_opening(job_id=known.event.job_id), *others[30:], twin, twin]
    answers = await asyncio.gather(*map(openings.write, asked), return_exceptions=True)
    refused = [place for place, answer in enumerate(answers) if answer is not None]
    assert refused == [30, len(asked) - 1]
    assert all(isinstance(answers[place], SequenceTaken) for place in refused)
    made = {known.event.job_id, twin.event.job_id, *(each.event.job_id for each in others)}
    assert {row.facts.job_id for row in await all_open_rows(backend)} == made
    async with consuming(backend) as consumer:
        deliveries = await received(consumer, len(made))
        assert sorted(ids(deliveries)) == sorted(made)
        for delivery in deliveries:
            await delivery.ack()


@IN_ONE_TRANSACTION
async def test_an_open_row_whose_event_never_came_is_taken_over(
    backend: Backend, openings: JobOpenings
) -> None:
    opening = an_opening()
    long_ago = BEGIN - timedelta(days=1)
    await backend.index.open(row_of(replace(opening.event, occurred_at=long_ago)))
    await openings.write(opening)
    (row,) = await all_open_rows(backend)
    assert (row.opened_at, row.sequence, row.published) == (BEGIN, 1, 1)


@IN_ONE_TRANSACTION
async def test_a_message_shows_up_when_its_job_is_due(
    backend: Backend, openings: JobOpenings
) -> None:
    now = datetime.now(BEGIN.tzinfo)
    soon = an_opening(now=now, run_at=now + timedelta(seconds=1))
    late = an_opening(now=now, run_at=now + timedelta(hours=2))
    async with consuming(backend) as consumer:
        await openings.write(soon)
        await openings.write(late)
        assert list(await consumer.receive(1, timedelta(seconds=0.3))) == []
        (delivery,) = await received(consumer, 1)
        assert ids([delivery]) == [soon.event.job_id]
        await delivery.ack()
    published = {row.facts.job_id: row.published for row in await all_open_rows(backend)}
    assert published == {soon.event.job_id: 1, late.event.job_id: 0}


@IN_ONE_TRANSACTION
async def test_a_large_payload_can_be_read(backend: Backend, openings: JobOpenings) -> None:
    opening = an_opening(payload="x" * 100_000)
    await openings.write(opening)
    found = await newest(backend, opening)
    assert found == opening.stored
    assert found is not None
    assert request_of(await resolve(found, backend.payloads)).payload == "x" * 100_000


@WITH_LISTS
async def test_a_made_job_is_listed_as_one_that_was_written_in_steps(
    backend: Backend, openings: JobOpenings
) -> None:
    keys = {"order": "7"}
    made, stepwise = (
        an_opening(job_name="n", lock_key="k", keys=keys, description="token=abcdefghijkl")
        for _ in range(2)
    )
    assert INDEXED in made.event.data
    await openings.write(made)
    await write(backend, stepwise.event)

    # `write` waits until the index is stored.
    rows = {
        row.facts.job_id: row
        for row in (await backend.reader.jobs(JobQuery(keys={"order": "7"}))).items
    }
    alike = replace(rows[stepwise.event.job_id], facts=made.event.facts)
    assert rows[made.event.job_id] == alike
    assert "abcdefghijkl" not in alike.message
    assert (await backend.reader.counts())[State.QUEUED] == 2
    assert await ready(backend, "default", "normal") == 1
