"""AuditTrail: inserting is the compare-and-swap."""

from __future__ import annotations

import asyncio

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SequenceTaken
from jobfleet_contracts.event import Event, HeldLock
from jobfleet_protocol.audit.chain_check import check_chain
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import a_life, after, an_id, queued, started

pytestmark = WITH_FAKES


async def _insert_life(backend: Backend, **fields: object) -> list[object]:
    life = a_life(**fields)
    for event in life:
        await backend.trail.insert([event])
    return list(life)


async def test_an_event_comes_back_exactly_as_it_was_written(backend: Backend) -> None:
    life = a_life(lock_key="größe 'x'", job_name='a "name" — ü', priority=9, queue="q-1")
    for event in life:
        await backend.trail.insert([event])
    assert list(await backend.trail.history(life[0].job_id)) == life


async def test_slots_held_beside_the_lock_come_back_with_their_turns(backend: Backend) -> None:
    first = queued()
    held = (HeldLock("limit/api-stripe/2", 17), HeldLock("limit/disk/1", 2**40))
    second = started(first, locks=held)
    await backend.trail.insert([first, second, step := after(second, "Step 1", worker_id="w1")])
    newest = await backend.trail.newest(first.job_id)
    assert newest == step
    assert newest.after.locks == held
    assert list(check_chain(await backend.trail.history(first.job_id))) == []


_ODD_DATA = {
    "text": "größe 'x' \t\n — 日本 🐦 \u00e9\u0065\u0301",
    "numbers": [0.1, 1e300, -0.0, 5e-324, 1e16, 2**53 + 1, 2**63, -(2**63), 1.0, True, None],
    "deep": {"z": {}, "a": [[], {"": ""}]},
}


async def test_a_stored_history_keeps_its_hash_chain_whatever_it_holds(backend: Backend) -> None:
    first = queued(lock_key="größe 'x'", job_name='a "name" — ü 🐦', priority=9)
    second = started(first)
    odd = {"worker_id": "w1", "message": " \t ü 🐦\n", "data": _ODD_DATA}
    third = after(second, "Step 1", seconds=1.000001, **odd)
    last = after(third, "Completed", worker_id="w1", duration_ms=2**40, data={"result": ""})
    await backend.trail.insert([first])
    await backend.trail.insert([second, third, last])
    stored = await backend.trail.history(first.job_id)
    assert [event.hash for event in stored] == [first.hash, second.hash, third.hash, last.hash]
    assert list(check_chain(stored)) == []
    scanned = [history async for history in backend.trail.scan() if history[0] == first]
    assert [list(check_chain(history)) for history in scanned] == [[]]


async def test_times_keep_their_microseconds(backend: Backend) -> None:
    event = after(queued(), "Deferred", seconds=1.000001)
    await backend.trail.insert([event])
    found = await backend.trail.read(event.job_id, 2)
    assert found is not None
    assert found.occurred_at.microsecond == 1
    assert found.occurred_at == event.occurred_at
    assert found.after.due_at == event.after.due_at


async def test_a_sequence_can_be_written_once(backend: Backend) -> None:
    first = queued()
    await backend.trail.insert([first])
    with pytest.raises(SequenceTaken):
        await backend.trail.insert([first])
    assert await backend.trail.newest(first.job_id) == first


async def test_fifty_parallel_inserts_of_one_sequence_have_one_winner(
    backend: Backend, other: Backend
) -> None:
    first = queued()
    await backend.trail.insert([first])
    rivals = [started(first, worker_id=f"w{n}") for n in range(50)]
    trails = [backend.trail, other.trail]
    results = await asyncio.gather(
        *(trails[n % 2].insert([rival]) for n, rival in enumerate(rivals)), return_exceptions=True
    )
    winners = [rivals[n] for n, result in enumerate(results) if result is None]
    losers = [result for result in results if result is not None]
    assert len(winners) == 1
    assert all(isinstance(error, SequenceTaken) for error in losers)
    assert await other.trail.newest(first.job_id) == winners[0]


async def test_inserts_of_many_jobs_at_once_do_not_disturb_each_other(backend: Backend) -> None:
    taken = queued()
    await backend.trail.insert([taken])
    fresh = [queued() for _ in range(40)]
    results = await asyncio.gather(
        *(backend.trail.insert([event]) for event in [*fresh, taken]), return_exceptions=True
    )
    assert results[:-1] == [None] * 40
    assert isinstance(results[-1], SequenceTaken)
    for event in fresh:
        assert await backend.trail.newest(event.job_id) == event


async def test_several_events_are_written_all_or_none(backend: Backend) -> None:
    first, second, third, fourth = a_life()
    await backend.trail.insert([first, second])
    with pytest.raises(SequenceTaken):
        await backend.trail.insert([second, third, fourth])
    rival = after(second, "Step 1", worker_id="w1", message="mine")
    await backend.trail.insert([rival])
    with pytest.raises(SequenceTaken):
        await backend.trail.insert([third, fourth])
    assert list(await backend.trail.history(first.job_id)) == [first, second, rival]


async def test_what_one_process_wrote_the_other_reads_at_once(
    backend: Backend, other: Backend
) -> None:
    event = queued()
    for _ in range(20):
        await backend.trail.insert([event])
        assert await other.trail.newest(event.job_id) == event
        assert await other.trail.read(event.job_id, 1) == event
        event = queued()


async def test_an_unknown_job_has_no_events(backend: Backend) -> None:
    job_id = an_id()
    assert await backend.trail.newest(job_id) is None
    assert await backend.trail.read(job_id, 1) is None
    assert list(await backend.trail.history(job_id)) == []


async def test_a_sequence_that_is_not_written_yet_reads_as_none(backend: Backend) -> None:
    first = queued()
    await backend.trail.insert([first])
    assert await backend.trail.read(first.job_id, 2) is None


async def test_history_pages_forwards_after_a_sequence(backend: Backend) -> None:
    life = await _insert_life(backend)
    job_id = life[0].job_id  # type: ignore[attr-defined]
    assert list(await backend.trail.history(job_id, after=1, limit=2)) == life[1:3]
    assert list(await backend.trail.history(job_id, after=4)) == []


async def test_history_before_a_sequence_gives_the_newest_of_the_range(backend: Backend) -> None:
    life = await _insert_life(backend)
    job_id = life[0].job_id  # type: ignore[attr-defined]
    assert list(await backend.trail.history(job_id, before=4, limit=2)) == life[1:3]
    assert list(await backend.trail.history(job_id, after=2, before=4)) == life[2:3]


def _long_life(*, attempts: int, steps: int) -> list[Event]:
    """One incarnation after another, each with so many steps between its lifecycle events."""
    events = [queued()]
    for _ in range(attempts):
        events.append(started(events[-1]))
        for number in range(1, steps + 1):
            events.append(after(events[-1], f"Step {number}", worker_id="w1"))
        events.append(after(events[-1], "Failed", worker_id="w1"))
        events.append(after(events[-1], "Redriven"))
    return events


@pytest.mark.parametrize(("attempts", "steps"), [(30, 0), (9, 1), (5, 40)])
async def test_lifecycle_events_are_read_apart_from_steps_and_page_by_page(
    backend: Backend, attempts: int, steps: int
) -> None:
    life = _long_life(attempts=attempts, steps=steps)
    for start in range(0, len(life), 100):
        await backend.trail.insert(life[start : start + 100])
    wanted = [event for event in life if not event.is_step]
    job_id, last = life[0].job_id, wanted[-1].sequence
    assert list(await backend.trail.lifecycle(job_id, last=last)) == wanted
    found: list[Event] = []
    while last:
        page = await backend.trail.lifecycle(job_id, last=last, limit=4)
        assert 1 <= len(page) <= 4
        found[:0] = page
        last = page[0].after.lifecycle_before
    assert found == wanted


async def test_an_unknown_job_has_no_lifecycle_events(backend: Backend) -> None:
    assert list(await backend.trail.lifecycle(an_id(), last=1)) == []


async def test_a_scan_gives_each_job_whole_and_in_order(backend: Backend) -> None:
    lives = [a_life() for _ in range(8)]
    for life in lives:
        for event in life:
            await backend.trail.insert([event])
    found = {history[0].job_id: list(history) async for history in backend.trail.scan()}
    assert found == {life[0].job_id: life for life in lives}


async def test_a_scan_holds_its_course_while_events_are_added(backend: Backend) -> None:
    lives = sorted((a_life() for _ in range(6)), key=lambda life: life[0].job_id)
    for life in lives:
        await backend.trail.insert(life[:2])
    seen = []
    async for history in backend.trail.scan():
        seen.append(history[0].job_id)
        assert [event.sequence for event in history] == list(range(1, len(history) + 1))
        late = lives[len(seen) % 6][2:]
        await asyncio.gather(backend.trail.insert(late), return_exceptions=True)
    assert sorted(seen) == [life[0].job_id for life in lives]


async def test_large_data_fit_into_an_event(backend: Backend) -> None:
    event = after(queued(), "Deferred", data={"text": "ü" * 15_000}, message="m" * 4_000)
    await backend.trail.insert([event])
    assert await backend.trail.newest(event.job_id) == event
