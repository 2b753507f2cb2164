"""The append rule: after any error, look; send the identical row until the table answers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change, draft
from tests.protocol.bench import Bench


async def next_event(bench: Bench, status: str = "Deferred") -> Event:
    request = await bench.submit()
    head = await bench.head(request.job_id)
    return draft(head, head.facts, Change(kind=Status.of(status)), occurred_at=bench.clock.now())


def writing(bench: Bench, event: Event) -> Callable[[], Awaitable[None]]:
    async def write() -> None:
        await bench.real.trail.insert([event])

    return write


REFUSALS = [None, SequenceTaken("the row stands")]


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("lost", ["lose_request", "lose_reply"])
async def test_whatever_the_error_the_event_stands_once_with_its_first_id(
    bench: Bench, lost: str, error: Exception | None
) -> None:
    event = await next_event(bench)
    getattr(bench.trail, lost)("insert", times=3, error=error)
    assert await bench.writes.writer.append([event]) is None
    assert (await bench.head(event.job_id)).event_id == event.event_id
    assert await bench.statuses(event.job_id) == ["Queued", "Deferred"]


async def test_a_look_that_fails_is_repeated(bench: Bench) -> None:
    event = await next_event(bench)
    bench.trail.lose_reply("insert")
    bench.trail.lose_request("read", times=3)
    assert await bench.writes.writer.append([event]) is None


async def test_a_foreign_event_in_its_place_is_handed_back(bench: Bench) -> None:
    event = await next_event(bench)
    head = await bench.head(event.job_id)
    other = draft(head, head.facts, Change(kind=Status.CANCELLED), occurred_at=bench.clock.now())
    bench.trail.before("insert", writing(bench, other))
    found = await bench.writes.writer.append([event])
    assert found is not None
    assert found.event_id == other.event_id
    assert await bench.statuses(event.job_id) == ["Queued", "Cancelled"]


async def test_a_first_copy_that_lands_late_is_recognised_as_ones_own(bench: Bench) -> None:
    event = await next_event(bench)
    bench.trail.lose_request("insert")
    bench.trail.before("insert", writing(bench, event))  # the copy that seemed lost
    assert await bench.writes.writer.append([event]) is None


async def test_several_events_stand_all_or_none(bench: Bench) -> None:
    first = await next_event(bench)
    second = draft(first, first.facts, Change(kind=Status.CANCELLED), occurred_at=bench.clock.now())
    head = await bench.head(first.job_id)
    other = draft(head, head.facts, Change(kind=Status.FAILED), occurred_at=bench.clock.now())
    bench.trail.before("insert", writing(bench, other))
    assert await bench.writes.writer.append([first, second]) is not None
    assert await bench.statuses(first.job_id) == ["Queued", "Failed"]


async def test_an_append_once_sent_goes_on_when_its_caller_is_cancelled(bench: Bench) -> None:
    event = await next_event(bench)
    bench.trail.lose_request("insert", times=2)
    writer = bench.writes.writer
    caller = asyncio.create_task(writer.append([event]))
    await asyncio.sleep(0.02)  # the append is sent, and between two tries
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await writer.settle(5)
    assert (await bench.head(event.job_id)).event_id == event.event_id


async def test_an_error_of_our_own_in_an_append_whose_caller_has_left_is_logged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise LookupError("on purpose")

    event = await next_event(bench)
    bench.trail.lose_request("insert", times=2)
    writer = bench.writes.writer
    caller = asyncio.create_task(writer.append([event]))
    await asyncio.sleep(0.02)  # the append is sent, and between two tries
    monkeypatch.setattr(writer, "_copy", broken)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await writer.settle(5)
    await asyncio.sleep(0)
    assert (await bench.head(event.job_id)).event_id == event.event_id
    assert "append.failed" in capsys.readouterr().out


async def test_the_copy_in_the_index_follows_also_after_a_lost_reply(bench: Bench) -> None:
    event = await next_event(bench)
    bench.trail.lose_reply("insert")
    await bench.writes.writer.append([event])
    (row,) = await bench.open_rows()
    assert (row.sequence, row.state) == (2, event.after.state)
