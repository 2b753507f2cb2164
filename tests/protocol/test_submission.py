"""Submitting: one job per id or key, whatever crashes between its three writes."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from jobfleet_contracts.errors import BackendUnavailable, BodyConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import job_id_for_key
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.submission import Submitted, request_of
from jobfleet_protocol.trail.tombstone import is_tombstone, seal_of, tombstone_of, tombstone_under
from tests.protocol.bench import Bench


async def test_open_row_event_and_message_are_written_in_this_order(bench: Bench) -> None:
    order: list[str] = []

    def noting(step: str) -> object:
        async def note() -> None:
            order.append(step)

        return note

    bench.index.before("open", noting("open row"))  # type: ignore[arg-type]
    bench.trail.before("insert", noting("event 1"))  # type: ignore[arg-type]
    bench.queue.before("publish", noting("message"))  # type: ignore[arg-type]
    await bench.submit()
    assert order == ["open row", "event 1", "message"]


async def test_event_1_holds_request_defaults_and_who_asked(bench: Bench) -> None:
    request = JobRequest(type="x", payload={"a": 1}, max_attempts=7)
    await bench.submitter.submit(request, by="ann")
    (event,) = await bench.history(request.job_id)
    assert request_of(event).payload == {"a": 1}
    assert event.after.max_attempts == 7
    assert event.data["by"] == "ann"
    assert event.data["defaults"]["maxAttempts"] == 3


async def test_without_an_open_row_nothing_is_accepted(bench: Bench) -> None:
    bench.index.lose_request("open")
    request = JobRequest(type="x")
    with pytest.raises(BackendUnavailable):
        await bench.submitter.submit(request)
    assert await bench.real.trail.newest(request.job_id) is None


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_an_unanswered_insert_of_event_1_is_made_sure_of(bench: Bench, lost: str) -> None:
    getattr(bench.trail, lost)("insert", times=3)
    request = await bench.submit()
    assert await bench.statuses(request.job_id) == ["Queued"]
    assert [m.request.job_id for m in await bench.messages()] == [request.job_id]


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_broker_in_trouble_does_not_refuse_a_job(bench: Bench, lost: str) -> None:
    getattr(bench.queue, lost)("publish")
    request = await bench.submit()
    (row,) = await bench.open_rows()
    assert (row.facts.job_id, row.published) == (request.job_id, 0)


async def test_submit_writes_trail_and_queue_apart_so_a_repeat_after_a_crash_publishes(
    bench: Bench,
) -> None:
    bench.queue.lose_request("publish")
    request = await bench.submit()
    assert await bench.messages() == []
    again = await bench.submitter.submit(request)
    assert (again.created, again.state) == (False, State.QUEUED)
    assert [m.request.job_id for m in await bench.messages()] == [request.job_id]


async def test_repeats_add_no_copies_of_the_message(bench: Bench) -> None:
    request = await bench.submit()
    for _ in range(3):
        await bench.submitter.submit(request)
    assert [m.request.job_id for m in await bench.messages()] == [request.job_id]


async def test_a_repeat_after_a_minute_leaves_the_message_to_the_rescuer(bench: Bench) -> None:
    bench.queue.lose_request("publish")
    request = await bench.submit()
    bench.clock.advance(61)
    await bench.submitter.submit(request)
    assert await bench.messages() == []
    (row,) = await bench.open_rows()
    assert row.published == 0


async def test_a_process_remembers_a_bounded_number_of_submitted_jobs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_protocol.actions.publication.MOST_REMEMBERED", 2)
    request = await bench.submit()
    await bench.messages()
    for _ in range(2):
        await bench.submit()
    await bench.messages()
    await bench.submitter.submit(request)
    assert [m.request.job_id for m in await bench.messages()] == [request.job_id]


async def test_a_repeat_after_the_job_has_ended_tells_its_state_and_leaves_no_row(
    bench: Bench,
) -> None:
    request = await bench.submit()
    await bench.canceller.cancel(request.job_id, by=None)
    again = await bench.submitter.submit(request)
    assert (again.created, again.state) == (False, State.CANCELLED)
    assert await bench.open_rows() == []


async def test_fifty_parallel_submits_with_one_key_make_one_job(bench: Bench) -> None:
    answers = await asyncio.gather(
        *(
            bench.submitter.submit(JobRequest(type="x", payload=1), idempotency_key="k")
            for _ in range(50)
        )
    )
    assert {answer.job_id for answer in answers} == {job_id_for_key("k")}
    assert [answer.created for answer in answers].count(True) == 1
    assert await bench.statuses(job_id_for_key("k")) == ["Queued"]
    assert len(await bench.open_rows()) == 1


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_parallel_submits_with_lost_replies_still_make_one_job(
    bench: Bench, lost: str
) -> None:
    getattr(bench.trail, lost)("insert", times=10)
    answers = await asyncio.gather(
        *(bench.submitter.submit(JobRequest(type="x"), idempotency_key="k") for _ in range(20))
    )
    assert [answer.created for answer in answers].count(True) == 1
    assert await bench.statuses(job_id_for_key("k")) == ["Queued"]


async def test_the_same_key_or_id_with_another_body_is_refused(bench: Bench) -> None:
    await bench.submitter.submit(JobRequest(type="x", payload=1), idempotency_key="k")
    with pytest.raises(BodyConflict):
        await bench.submitter.submit(JobRequest(type="x", payload=2), idempotency_key="k")
    request = await bench.submit(payload=1)
    with pytest.raises(BodyConflict):
        await bench.submitter.submit(request.model_copy(update={"payload": 2}))


async def test_trace_and_creation_time_do_not_make_another_body(bench: Bench) -> None:
    first = JobRequest(type="x", context={"traceparent": "a"})
    second = JobRequest(type="x", context={"traceparent": "b"})
    assert (await bench.submitter.submit(first, idempotency_key="k")).created
    assert not (await bench.submitter.submit(second, idempotency_key="k")).created


async def test_a_large_body_is_stored_apart_and_compared_all_the_same(bench: Bench) -> None:
    request = await bench.submit(payload="x" * 100_000)
    (event,) = await bench.history(request.job_id)
    assert set(event.data) == {"blob", "size"}
    assert not (await bench.submitter.submit(request)).created
    with pytest.raises(BodyConflict):
        await bench.submitter.submit(request.model_copy(update={"payload": "y" * 100_000}))


@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_a_large_body_whose_storing_fails_is_stored_again(bench: Bench, lost: str) -> None:
    getattr(bench.payloads, lost)("put", times=2)
    request = await bench.submit(payload="x" * 100_000)
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_a_schedule_is_published_with_its_time_and_none_beyond_an_hour(
    bench: Bench,
) -> None:
    soon = await bench.submit(run_at=bench.clock.now() + timedelta(seconds=30))
    later = await bench.submit(run_at=bench.clock.now() + timedelta(hours=2))
    assert await bench.messages() == []
    published = {row.facts.job_id: row.published for row in await bench.open_rows()}
    assert published == {soon.job_id: 1, later.job_id: 0}
    bench.clock.advance(31)
    (message,) = await bench.messages()
    assert (message.request.job_id, message.due_at) == (soon.job_id, soon.run_at)


async def test_a_run_time_in_the_past_is_no_schedule(bench: Bench) -> None:
    request = await bench.submit(run_at=bench.clock.now() - timedelta(seconds=1))
    assert await bench.statuses(request.job_id) == ["Queued"]


async def test_one_bad_job_of_many_does_not_spoil_the_others(bench: Bench) -> None:
    taken = await bench.submit(payload=1)
    other = taken.model_copy(update={"payload": 2})
    answers = await bench.submitter.submit_many([JobRequest(type="x"), other, taken])
    assert isinstance(answers[1], BodyConflict)
    assert [getattr(a, "created", None) for a in answers] == [True, None, False]


async def test_many_jobs_are_submitted_64_at_a_time_and_answered_in_their_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, running = bench.submitter.submit, [0]

    async def counted(request: JobRequest, *, by: str | None) -> Submitted:
        running.append(running[-1] + 1)
        try:
            return await submit(request, by=by)
        finally:
            running.append(running[-1] - 1)

    monkeypatch.setattr(bench.submitter, "submit", counted)
    requests = [JobRequest(type="x") for _ in range(100)]
    answers = await bench.submitter.submit_many(requests)
    assert [getattr(a, "job_id", a) for a in answers] == [r.job_id for r in requests]
    assert max(running) == 64


async def test_a_submit_makes_the_wire_form_for_its_check_its_event_and_its_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a large part of what a submit costs."""
    made: list[str] = []
    to_json = JobRequest.to_json

    def counted(request: JobRequest) -> dict[str, Any]:
        made.append(request.job_id)
        return to_json(request)

    monkeypatch.setattr(JobRequest, "to_json", counted)
    await bench.submit(payload={"a": 1})
    assert len(made) <= 3


async def test_a_silent_trail_is_answered_in_time_and_the_event_still_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_protocol.actions.answer_limit.ANSWER_SECONDS", 0.2)
    bench.trail.lose_request("insert", times=4)
    request = JobRequest(type="x")
    with pytest.raises(BackendUnavailable, match="same job id"):
        await bench.submitter.submit(request)
    async with asyncio.timeout(60):
        while await bench.real.trail.newest(request.job_id) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not (await bench.submitter.submit(request)).created


async def test_a_repeated_submit_starts_nothing_where_the_history_is_removed_meanwhile(
    bench: Bench,
) -> None:
    request = await bench.submit()
    head = await bench.end(await bench.claimed(request))
    assert bench.real.retention is not None
    stone = tombstone_of(head, head, digest=request.digest(), message="history removed")
    seal = seal_of(stone, head=head)
    await bench.real.trail.insert([seal])
    await bench.messages()
    remove = bench.real.retention.forget
    bench.trail.before("newest", lambda: remove(tombstone_under(seal), last=seal.sequence))
    again = await bench.submitter.submit(request)
    assert (again.state, again.created) == (State.COMPLETED, False)
    assert is_tombstone(await bench.head(request.job_id))
    assert not await bench.messages()


@pytest.mark.parametrize("slept", [590, 610])
async def test_a_submitter_that_slept_writes_its_row_again_before_it_publishes(
    bench: Bench, slept: float
) -> None:
    """Meanwhile the rescuer may have removed the row; without one nobody would find the job."""
    insert = bench.real.trail.insert
    request = JobRequest(type="x")

    async def late(events: Sequence[Event]) -> None:
        bench.clock.advance(slept)
        [row] = await bench.open_rows()
        await bench.real.index.discard(row)
        await insert(events)

    bench.trail.__dict__["insert"] = late
    await bench.submitter.submit(request)
    rows = [(row.facts.job_id, row.sequence) for row in await bench.open_rows()]
    assert rows == ([] if slept < 600 else [(request.job_id, 1)])


async def test_a_redrive_that_slept_writes_its_row_again(bench: Bench) -> None:
    request = await bench.submit()
    await bench.canceller.cancel(request.job_id, by=None)
    insert = bench.real.trail.insert

    async def late(events: Sequence[Event]) -> None:
        bench.clock.advance(3700)
        for row in await bench.open_rows():
            await bench.real.index.discard(row)
        await insert(events)

    bench.trail.__dict__["insert"] = late
    await bench.redriver.redrive(request.job_id, by=None)
    assert [(row.incarnation, row.sequence) for row in await bench.open_rows()] == [(2, 3)]


async def test_an_unanswered_second_row_is_written_until_it_stands(bench: Bench) -> None:
    insert = bench.real.trail.insert
    opened = bench.real.index.open
    tries: list[OpenRow] = []

    async def late(events: Sequence[Event]) -> None:
        bench.clock.advance(700)
        await insert(events)

    async def open_row(row: OpenRow) -> None:
        tries.append(row)
        if len(tries) in (2, 3):
            raise BackendUnavailable("lost")
        await opened(row)

    bench.trail.__dict__["insert"] = late
    bench.index.__dict__["open"] = open_row
    await bench.submitter.submit(JobRequest(type="x"))
    assert len(tries) == 4
