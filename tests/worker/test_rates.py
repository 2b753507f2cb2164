"""Handlers with a rate: starts are spread over the fleet, and nothing waits for ever."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import pytest

from jobfleet_contracts.state import State
from jobfleet_protocol.claiming import rate_limiter
from jobfleet_worker import JobContext, Rate, handler
from tests.polling import eventually
from tests.worker.workshop import Workshop

starts: defaultdict[str, list[float]] = defaultdict(list)


@pytest.fixture(autouse=True)
def _no_starts() -> None:
    starts.clear()


@handler("call", rate="10/second", aliases=["old.call"])
async def call(payload: Any, context: JobContext) -> None:
    starts["call"].append(time.monotonic())


@handler("keyed", rate="2/second", rate_key=lambda payload: f"customer-{payload['customer']}")
async def keyed(payload: dict[str, Any]) -> None:
    starts[payload["customer"]].append(time.monotonic())


@handler("wrong", rate="10/second", rate_key=lambda payload: payload["nothing"])
async def wrong(payload: Any) -> None:
    starts["wrong"].append(time.monotonic())


def a_number(payload: Any) -> Any:
    return 7


@handler("number", rate="10/second", rate_key=a_number)
def number(payload: Any) -> None:
    starts["number"].append(time.monotonic())


@handler("free")
async def free(payload: Any) -> None:
    starts["free"].append(time.monotonic())


@handler("seldom", rate=Rate("1/hour", burst=2))
def seldom(payload: Any) -> None:
    starts["seldom"].append(time.monotonic())


def most_in(moments: list[float], window: float) -> int:
    """Return the most starts in any window of so many seconds."""
    return max(sum(start <= each <= start + window for each in moments) for start in moments)


async def test_starts_of_two_workers_keep_to_the_rate(workshop: Workshop) -> None:
    job_ids = [await workshop.submit("call") for _ in range(36)]
    job_ids += [await workshop.submit("old.call") for _ in range(4)]
    for _ in range(2):
        workshop.start_worker(call, concurrency=5)
    for job_id in job_ids:
        assert (await workshop.until_ended(job_id)).status == "Completed"
    assert len(starts["call"]) == 40
    window, grace, burst = 1.0, 1.0, 1
    assert most_in(starts["call"], window) <= 10 * (window + grace) + burst
    assert max(starts["call"]) - min(starts["call"]) >= 39 / 10 - 1
    for job_id in job_ids:
        statuses = await workshop.statuses(job_id)
        assert statuses.count("Deferred") <= 2, "one for the wait, one for the slot"


async def test_other_jobs_do_not_wait_for_a_rate(workshop: Workshop) -> None:
    workshop.start_worker(seldom, free, concurrency=2)
    waiting = [await workshop.submit("seldom") for _ in range(10)]
    others = [await workshop.submit("free") for _ in range(10)]
    for job_id in others:
        await workshop.until_ended(job_id, seconds=10)

    async def two_have_started() -> bool:
        return len(starts["seldom"]) == 2

    await eventually("a burst of two", two_have_started)
    for job_id in waiting:
        head = await workshop.head(job_id)
        if head.after.state is not State.COMPLETED:
            await workshop.until_state(job_id, State.DEFERRED)
    assert len(starts["seldom"]) == 2


async def test_jobs_count_apart_by_what_rate_key_returns(workshop: Workshop) -> None:
    workshop.start_worker(keyed)
    job_ids = [
        await workshop.submit("keyed", {"customer": customer}) for customer in "abc" for _ in "12"
    ]
    for job_id in job_ids:
        await workshop.until_ended(job_id)
    firsts = [moments[0] for moments in starts.values()]
    assert len(firsts) == 3
    for moments in starts.values():
        assert moments[1] > max(firsts) - 1


async def test_a_rate_key_that_fails_ends_its_job_with_the_reason_and_no_other(
    workshop: Workshop,
) -> None:
    workshop.start_worker(wrong, number, free)
    ended = await workshop.run("wrong", {})
    assert ended.status == "Failed"
    assert "rate_key of @handler('wrong') raised KeyError" in ended.data["error"]["message"]
    ended = await workshop.run("number")
    assert "a key is text of 1 to 200 characters" in ended.data["error"]["message"]
    assert not starts["wrong"]
    assert not starts["number"]
    assert (await workshop.run("free")).status == "Completed"


async def test_a_start_that_comes_too_late_for_its_slot_is_put_off(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = workshop.start_worker(call)
    rates = running.worker.executor._parts.rates
    kept: list[bool] = []

    async def too_late(admission: Any) -> bool:
        kept.append(bool(kept))
        return kept[-1]

    monkeypatch.setattr(type(rates), "keep", lambda _, admission: too_late(admission))
    job_id = await workshop.submit("call")
    assert (await workshop.until_ended(job_id)).status == "Completed"
    statuses = await workshop.statuses(job_id)
    assert statuses[:3] == ["Queued", "Started", "Deferred"]
    deferred = (await workshop.history(job_id))[2]
    assert deferred.data["reason"] == "rate"
    assert deferred.after.attempts_used == 0
    assert len(starts["call"]) == 1


async def test_a_long_queue_behind_a_rate_costs_the_trail_nothing_but_one_event_a_job(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limiter, "LONGEST_PUT_OFF_SECONDS", 0.5)
    workshop.start_worker(seldom)
    job_ids = [await workshop.submit("seldom") for _ in range(12)]

    async def all_wait() -> bool:
        heads = [await workshop.head(job_id) for job_id in job_ids]
        return sum(head.after.state is State.DEFERRED for head in heads) == 10

    await eventually("ten that wait", all_wait)
    reads = workshop.trail.calls["newest"]
    published = workshop.queue.calls["publish_later"]

    async def more_are_put_off() -> bool:
        return workshop.queue.calls["publish_later"] > published + 20

    await eventually("jobs that are put off again", more_are_put_off)
    assert workshop.trail.calls["newest"] - reads <= 2
