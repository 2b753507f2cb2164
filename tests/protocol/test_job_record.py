"""A job read from its trail: the same where its history is longer than one answer, or odd."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from jobfleet_contracts.errors import InvalidRequest, UnknownJob
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.reading import job_reader
from jobfleet_protocol.reading.attempts import Attempt
from jobfleet_protocol.reading.job_reader import JobReader
from jobfleet_protocol.trail.transitions import Change
from tests.protocol.bench import Bench
from tests.protocol.life import Life

TARGET = "https://third.party/told"
Ended = Callable[[], Awaitable[JobRequest]]


@pytest.fixture
def reader(bench: Bench) -> JobReader:
    return JobReader(trail=bench.real.trail, payloads=bench.real.payloads)


def _steps(number: int, worker_id: str | None, data: dict[str, Any], _: Event) -> list[Change]:
    return [Change(kind=Status.STEP, step=number, worker_id=worker_id, data=data)]


async def stored(bench: Bench, life: Life) -> str:
    await bench.real.trail.insert(life.events)
    return life.facts.job_id


async def test_the_start_of_an_attempt_is_found_behind_more_rows_than_are_read(
    bench: Bench, reader: JobReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_reader, "MAX_EVENTS", 3)
    life = Life().queued().started()
    begun = life.head.occurred_at
    life.retried().deferred().deferred().deferred()
    found = await reader.read(await stored(bench, life))
    assert "Started" not in [event.status for event in found.lifecycle]
    assert found.started_at == begun
    assert found.older == f"b{found.events[0].sequence}"
    never = await reader.read(await stored(bench, Life().queued().deferred().deferred()))
    assert never.started_at is None


async def test_attempts_are_read_on_where_a_look_has_ended(
    bench: Bench, reader: JobReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_reader, "MAX_EVENTS", 2)
    monkeypatch.setattr(job_reader, "_MAX_PAGES", 2)
    life = Life().queued().started().step(1).step(2).step(3).retried().started().completed()
    job_id = await stored(bench, life)
    found: list[Attempt] = []
    cursor, looks = None, 0
    while looks == 0 or cursor is not None:
        page = await reader.attempts(job_id, cursor=cursor)
        found += page.items
        cursor, looks = page.next, looks + 1
    assert looks > 1
    whole = JobReader(trail=bench.real.trail, payloads=bench.real.payloads)
    monkeypatch.undo()
    assert found == [*(await whole.attempts(job_id)).items]
    assert len(found) == 2
    with pytest.raises(UnknownJob):
        await whole.attempts(new_id())
    with pytest.raises(InvalidRequest, match="cursor"):
        await whole.attempts(job_id, cursor="b")


async def test_the_newest_checkpoint_of_a_job_is_shown_until_it_begins_anew(
    bench: Bench, reader: JobReader
) -> None:
    request = await bench.submit()
    claimed = await bench.claimed(request)
    assert (await reader.read(request.job_id)).checkpoint is None
    worker_id = claimed.trail.head.after.worker_id
    for number, data in ((1, {"checkpoint": {"row": 7}}), (2, {})):
        await claimed.trail.write(partial(_steps, number, worker_id, data))
    assert (await reader.read(request.job_id)).checkpoint == {"row": 7}
    await bench.end(claimed, "Failed")
    await bench.redriver.redrive(request.job_id, by="ops")
    assert (await reader.read(request.job_id)).checkpoint is None


@pytest.fixture
def ended(bench: Bench) -> Ended:
    """A job with a callback that has ended, and nobody has submitted its delivery."""

    async def make() -> JobRequest:
        request = await bench.submit(callback_url=TARGET)
        await bench.end(await bench.claimed(request))
        return request

    return make


async def test_another_job_under_the_id_of_a_delivery_is_told_of(
    bench: Bench, reader: JobReader, ended: Ended
) -> None:
    request = await ended()
    assert (await reader.read(request.job_id)).callback_conflict is None  # not yet submitted
    await bench.writes.ending.conclude(await bench.head(request.job_id), request)
    assert (await reader.read(request.job_id)).callback_conflict is None
    other = await ended()
    callback = callback_job_id(other.job_id, 1)
    imposter = JobRequest(job_id=callback, type="x")
    await bench.submitter.submit_internal(imposter, by="somebody")
    conflict = f"the result is not delivered: another job has the id {callback} of its delivery"
    assert (await reader.read(other.job_id)).callback_conflict == conflict
