"""Schedules on a real log: each tick makes one job, whatever is lost and whichever worker fires."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.schedule import Schedule
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.control.schedule_state import LATE_AFTER, ScheduleState, schedule_of_job
from jobfleet_protocol.control.schedules import Schedules
from tests.protocol.bench import Bench
from tests.protocol.faulty_port import FaultyPort

NAME = "daily"


def every(seconds: float = 10, name: str = NAME, **fields: Any) -> Schedule:
    return Schedule(name=name, type="x", every=timedelta(seconds=seconds), **fields)


def schedules(bench: Bench, log: Any = None) -> Schedules:
    return Schedules(
        log=log or bench.real.control_log,
        trail=bench.trail,
        submitter=bench.submitter,
        clock=bench.clock,
    )


async def head_of(bench: Bench, name: str = NAME) -> ControlEntry:
    head = await bench.real.control_log.newest(ControlSubject.SCHEDULE, name)
    assert head is not None
    return head


async def log_of(bench: Bench, name: str = NAME) -> list[ControlEntry]:
    log = await bench.real.control_log.history(ControlSubject.SCHEDULE, name, limit=1000)
    return list(log)[::-1]


async def declared_at(bench: Bench) -> datetime:
    return ScheduleState.of(await head_of(bench)).anchor


async def fire(bench: Bench, now: datetime, by: Schedules | None = None) -> None:
    await (by or schedules(bench)).fire_due(await head_of(bench), now)


async def jobs_of(bench: Bench) -> list[tuple[str, int]]:
    """Return each recorded job with the place of its tick, in order."""
    begin = await declared_at(bench)
    found = []
    async for history in bench.real.trail.scan():
        request: JobRequest = request_of(history[0])
        assert request.context is not None
        tick = request.context["scheduledFor"]
        made = schedule_of_job(request.job_id, request.context)
        assert made == (NAME, tick)
        offset = datetime.fromisoformat(tick) - begin
        found.append((request.job_id, round(offset.total_seconds())))
    return sorted(found, key=lambda job: job[1])


async def end(bench: Bench, job_id: str) -> None:
    request = request_of(await bench.first(job_id))
    await bench.end(await bench.claimed(request))


async def test_each_tick_makes_one_job_however_many_leaders_fire_it(bench: Bench) -> None:
    await schedules(bench).declare(every(overlap="allow", catch_up="all"), by="me")
    begin = await declared_at(bench)
    head = await head_of(bench)
    rivals = [schedules(bench) for _ in range(5)]
    now = begin + timedelta(seconds=35)
    await asyncio.gather(*(rival.fire_due(head, now) for rival in rivals))
    await asyncio.gather(*(fire(bench, now, rival) for rival in rivals))
    assert [offset for _, offset in await jobs_of(bench)] == [10, 20, 30]


async def test_nothing_is_due_at_the_declaration(bench: Bench) -> None:
    await schedules(bench).declare(every(), by="me")
    await fire(bench, await declared_at(bench))
    assert await jobs_of(bench) == []


@pytest.mark.parametrize("method", ["insert", "newest", "read"])
@pytest.mark.parametrize("fault", ["lose_reply", "lose_request"])
async def test_a_lost_answer_of_the_log_doubles_and_loses_no_tick(
    bench: Bench, fault: str, method: str
) -> None:
    log = FaultyPort(bench.real.control_log)
    own = schedules(bench, log)
    await own.declare(every(overlap="allow", catch_up="all"), by="me")
    begin = await declared_at(bench)
    getattr(log, fault)(method)
    if method == "read":
        log.lose_reply("insert")
    await fire(bench, begin + timedelta(seconds=25), own)
    assert [offset for _, offset in await jobs_of(bench)] == [10, 20]


async def test_a_leader_that_dies_after_the_entry_leaves_the_job_to_the_next(bench: Bench) -> None:
    await schedules(bench).declare(every(overlap="allow"), by="me")
    begin = await declared_at(bench)
    bench.index.lose_request("open", times=1, error=BackendUnavailable("died"))
    with pytest.raises(BackendUnavailable):
        await fire(bench, begin + timedelta(seconds=10))
    assert (await head_of(bench)).kind is ControlKind.FIRED
    assert await jobs_of(bench) == []
    await fire(bench, begin + timedelta(seconds=11))
    assert [offset for _, offset in await jobs_of(bench)] == [10]


async def test_a_pause_after_the_entry_does_not_lose_its_job(bench: Bench) -> None:
    """The operator's entry hides the tick's, so it completes the tick first."""
    await schedules(bench).declare(every(overlap="allow"), by="me")
    begin = await declared_at(bench)
    bench.index.lose_request("open", times=1, error=BackendUnavailable("died"))
    with pytest.raises(BackendUnavailable):
        await fire(bench, begin + timedelta(seconds=10))
    await schedules(bench).pause(NAME, by="nightops", reason="maintenance")
    assert [offset for _, offset in await jobs_of(bench)] == [10]


async def test_a_paused_or_removed_schedule_fires_nothing(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare(every(), by="me")
    begin = await declared_at(bench)
    await own.pause(NAME, by="nightops", reason="maintenance")
    await fire(bench, begin + timedelta(seconds=100))
    state = ScheduleState.of(await head_of(bench))
    assert state.paused is not None
    assert (state.paused.by, state.paused.reason) == ("nightops", "maintenance")
    await own.resume(NAME, by="nightops")
    await own.remove(NAME, by="nightops")
    await fire(bench, begin + timedelta(seconds=100))
    assert await jobs_of(bench) == []
    assert list(await own.all()) == []


@pytest.mark.parametrize(
    ("catch_up", "fired"),
    [("none", []), ("last", [1000]), ("all", [*range(100, 1001, 100)])],
)
async def test_missed_ticks_follow_the_catch_up_and_each_is_accounted_for(
    bench: Bench, catch_up: Any, fired: list[int]
) -> None:
    await schedules(bench).declare(every(100, overlap="allow", catch_up=catch_up), by="me")
    begin = await declared_at(bench)
    await fire(bench, begin + timedelta(seconds=1000) + LATE_AFTER)
    assert [offset for _, offset in await jobs_of(bench)] == fired
    skipped = [e.details for e in await log_of(bench) if e.kind is ControlKind.SKIPPED]
    assert sum(details["count"] for details in skipped) == 10 - len(fired)
    assert all(details["reason"] == "missed" for details in skipped)


async def test_at_most_a_hundred_missed_ticks_are_caught_up(bench: Bench) -> None:
    await schedules(bench).declare(every(1, overlap="allow", catch_up="all"), by="me")
    begin = await declared_at(bench)
    await fire(bench, begin + timedelta(seconds=150))
    offsets = [offset for _, offset in await jobs_of(bench)]
    assert offsets == list(range(51, 151))
    skipped = [e for e in await log_of(bench) if e.kind is ControlKind.SKIPPED]
    assert [e.details["count"] for e in skipped] == [50]


async def test_a_month_of_missed_seconds_costs_no_more_than_an_hour(bench: Bench) -> None:
    await schedules(bench).declare(every(1, overlap="allow", catch_up="last"), by="me")
    begin = await declared_at(bench)
    state = ScheduleState.of(await head_of(bench))
    due = state.due(begin + timedelta(days=30))
    assert not due.complete
    assert len(due.ticks) < 300
    assert due.ticks[-1] == begin + timedelta(days=30)


async def test_a_tick_is_skipped_while_the_previous_job_runs_and_the_log_names_it(
    bench: Bench,
) -> None:
    await schedules(bench).declare(every(overlap="skip", catch_up="all"), by="me")
    begin = await declared_at(bench)
    await fire(bench, begin + timedelta(seconds=10))
    [(job_id, _)] = await jobs_of(bench)
    await fire(bench, begin + timedelta(seconds=20))
    head = await head_of(bench)
    assert head.kind is ControlKind.SKIPPED
    assert head.details["reason"] == "overlap"
    assert head.details["runningJobId"] == job_id
    await end(bench, job_id)
    await fire(bench, begin + timedelta(seconds=30))
    assert [offset for _, offset in await jobs_of(bench)] == [10, 30]


async def test_to_catch_all_up_drops_no_tick_unless_skip_is_said(bench: Bench) -> None:
    """Missed ticks fire together: the job of none has ended when the next one's turn comes."""
    await schedules(bench).declare(
        Schedule(name=NAME, type="tick", every=timedelta(seconds=10), catch_up="all"), by="me"
    )
    head = await head_of(bench)
    assert ScheduleState.of(head).schedule.rule.overlap == "queue"
    begin = await declared_at(bench)
    await fire(bench, begin + timedelta(seconds=50))
    assert [offset for _, offset in await jobs_of(bench)] == [10, 20, 30, 40, 50]
    explicit = Schedule(
        name=NAME, type="tick", every=timedelta(seconds=10), catch_up="all", overlap="skip"
    )
    stored = Schedule.from_json(NAME, explicit.to_json())
    assert stored.rule == explicit.rule
    assert stored.digest() == explicit.digest()


async def test_jobs_that_queue_behind_each_other_share_a_lock_key(bench: Bench) -> None:
    await schedules(bench).declare(every(overlap="queue", catch_up="all"), by="me")
    begin = await declared_at(bench)
    await fire(bench, begin + timedelta(seconds=20))
    keys = {request_of(await bench.first(job)).lock_key for job, _ in await jobs_of(bench)}
    assert keys == {"schedule/daily"}


async def test_a_changed_definition_never_fires_at_once(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare(every(10, overlap="allow", catch_up="all"), by="me")
    begin = await declared_at(bench)
    bench.clock.advance(95)
    await own.declare(every(7, overlap="allow", catch_up="all"), by="me")
    await fire(bench, bench.clock.now())
    assert await jobs_of(bench) == []
    state = ScheduleState.of(await head_of(bench))
    assert state.anchor == begin
    assert next(state.ticks()) > state.counted_from


async def test_a_change_of_the_payload_alone_keeps_the_catch_up_point(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare(every(10, overlap="allow", catch_up="all"), by="me")
    begin = await declared_at(bench)
    bench.clock.advance(25)
    await own.declare(every(10, overlap="allow", catch_up="all", payload=1), by="me")
    await fire(bench, begin + timedelta(seconds=25))
    assert [offset for _, offset in await jobs_of(bench)] == [10, 20]


async def test_the_same_declaration_again_writes_nothing(bench: Bench) -> None:
    for _ in range(3):
        await schedules(bench).declare(every(), by="me")
    assert len(await log_of(bench)) == 1


async def test_ten_workers_that_start_together_write_one_declaration(bench: Bench) -> None:
    await asyncio.gather(*(schedules(bench).declare_by_code(every()) for _ in range(10)))
    assert [e.kind for e in await log_of(bench)] == [ControlKind.DECLARED]


async def test_an_operators_change_stands_until_the_code_changes(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare_by_code(every(10))
    await own.declare(every(20), by="nightops")
    assert not await own.declare_by_code(every(10))
    assert ScheduleState.of(await head_of(bench)).declared_by == "nightops"
    assert await own.declare_by_code(every(30))
    state = ScheduleState.of(await head_of(bench))
    assert state.schedule.rule.every_seconds == 30
    assert state.declared_by == "code"


async def test_a_removal_stands_until_the_code_changes(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare_by_code(every(10))
    await own.remove(NAME, by="nightops")
    assert not await own.declare_by_code(every(10))
    assert list(await own.all()) == []
    assert await own.declare_by_code(every(30))
    assert [head.name for head in await own.all()] == [NAME]


async def test_a_deployment_does_not_resume_a_pause(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare_by_code(every(10))
    await own.pause(NAME, by="nightops")
    await own.declare_by_code(every(30))
    assert ScheduleState.of(await head_of(bench)).paused is not None


async def test_an_older_declaration_does_not_replace_one_that_a_live_worker_makes(
    bench: Bench,
) -> None:
    own = schedules(bench)
    old, new = every(10), every(20)
    await own.declare_by_code(old)
    await own.declare_by_code(new)
    assert not await own.declare_by_code(old, live_digests=frozenset({new.digest()}))
    # Rolled back: no worker declares the newer one any more.
    assert await own.declare_by_code(old)


async def test_run_now_makes_a_job_beside_the_ticks(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare(every(payload={"a": 1}), by="me")
    first = await own.run(NAME, by="me")
    second = await own.run(NAME, by="me")
    assert first.job_id != second.job_id
    request = request_of(await bench.first(first.job_id))
    assert request.payload == {"a": 1}
    assert schedule_of_job(first.job_id, request.context) == (NAME, None)


async def test_a_backfill_repeated_finds_the_same_jobs(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare(every(60, start=bench.clock.now() - timedelta(days=1)), by="me")
    until = bench.clock.now()
    since = until - timedelta(minutes=5)
    made = await own.backfill(NAME, since=since, until=until, by="me")
    again = await own.backfill(NAME, since=since, until=until, by="me")
    assert len(made) == 5
    assert [job.job_id for job in made] == [job.job_id for job in again]
    assert not any(job.created for job in again)


async def test_a_backfill_of_an_empty_or_endless_range_is_refused(bench: Bench) -> None:
    own = schedules(bench)
    await own.declare(every(1), by="me")
    now = bench.clock.now()
    with pytest.raises(InvalidRequest, match="after since"):
        await own.backfill(NAME, since=now, until=now, by="me")
    with pytest.raises(InvalidRequest, match="1,000"):
        await own.backfill(NAME, since=now, until=now + timedelta(days=1), by="me")


@pytest.mark.parametrize("field", ["since", "until"])
@pytest.mark.parametrize("year", [1, 1600, 9999])
async def test_a_backfill_of_years_that_no_job_can_have_is_refused_by_name(
    bench: Bench, field: str, year: int
) -> None:
    own = schedules(bench)
    await own.declare(every(60), by="me")
    now = bench.clock.now()
    span = {"since": now, "until": now, field: datetime(year, 1, 1, tzinfo=UTC)}
    with pytest.raises(InvalidRequest, match=f"{field}: must not lie") as refused:
        await own.backfill(NAME, since=span["since"], until=span["until"], by="me")
    assert refused.value.field == field


@pytest.mark.parametrize("action", ["pause", "resume", "remove", "run"])
async def test_an_action_on_an_unknown_schedule_is_refused(bench: Bench, action: str) -> None:
    with pytest.raises(ActionRefused):
        await getattr(schedules(bench), action)("none", by="me")


def test_a_context_alone_does_not_make_a_job_a_schedules() -> None:
    context = {"scheduleName": NAME, "scheduledFor": "2026-01-01T00:00:00.000000Z"}
    assert schedule_of_job("018f0000-0000-7000-8000-000000000000", context) is None
