"""Bounded queues: nobody waits for a slow listener."""

from __future__ import annotations

import asyncio

from jobfleet_contracts.event import JobFacts
from jobfleet_contracts.index import TimelineEntry
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import Status
from jobfleet_dashboard.live.batch_texts import BatchTexts
from jobfleet_dashboard.live.subscription import MAX_WAITING_ENTRIES, Subscription
from jobfleet_protocol.trail.transitions import Change, draft


def entry(request: JobRequest | None = None) -> TimelineEntry:
    request = request or JobRequest(type="a")
    facts = JobFacts.of(request)
    change = Change(kind=Status.QUEUED)
    return TimelineEntry(draft(None, facts, change, occurred_at=request.created_at), "c-1")


async def test_a_slow_listener_is_dropped_after_what_it_still_holds() -> None:
    slow = Subscription()
    batch = [entry()] * (MAX_WAITING_ENTRIES // 2)
    assert slow.offer(batch)
    assert slow.offer(batch)
    assert not slow.offer(batch)
    assert slow.ended
    assert [len(held) async for held in slow] == [len(batch), len(batch)]
    assert not slow.offer(batch)


async def test_a_listener_of_one_job_gets_its_events_only() -> None:
    request = JobRequest(type="a")
    mine = entry(request)
    subscription = Subscription(job_id=request.job_id)
    assert subscription.offer([entry(), entry()])
    assert await subscription.next(timeout=0) == ()
    assert subscription.offer([entry(), mine, entry()])
    assert await subscription.next(timeout=0) == [mine]


async def test_a_waiting_listener_is_woken_by_news_and_by_the_end() -> None:
    subscription = Subscription()
    waiting = asyncio.create_task(subscription.next())
    await asyncio.sleep(0)
    subscription.offer([entry()])
    assert await waiting
    ending = asyncio.create_task(subscription.next())
    await asyncio.sleep(0)
    subscription.end()
    assert await ending is None


async def test_a_batch_is_written_once_for_all() -> None:
    texts = BatchTexts()
    batch = [entry()]
    first, second = await asyncio.gather(texts.of(batch), texts.of(batch))
    assert first is second is await texts.of(batch)
    assert first.startswith(b"id: c-1\r\ndata: {")
    assert first.endswith(b"}\r\n\r\n")
