"""Process jobs that find no free process are put off unclaimed, and other types go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import LeaseStore
from jobfleet_contracts.state import State
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.processes.pool import process_pool
from jobfleet_worker.run.deferral import Deferral
from jobfleet_worker.run.process_gate import (
    APART_SECONDS,
    LONGEST_DELAY,
    WAIT_SECONDS,
    ProcessGate,
)
from jobfleet_worker.run.slots import Slots
from tests.protocol.steered_clock import SteeredClock
from tests.worker import pool_handlers
from tests.worker.processes import pid_in
from tests.worker.workshop import Workshop


class StoppedClock(SteeredClock):
    """Moves only where the test says so."""

    def boottime(self) -> float:
        return self._ahead


class Postponed:
    """Takes what is put off; nothing is on any trail."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    async def until_process_free(self, message: JobMessage, head: Any, seconds: float) -> None:
        self.delays.append(seconds)

    async def newest(self, job_id: str) -> None:
        return None


def gate_with(postponed: Postponed, clock: SteeredClock, *, slots: int) -> ProcessGate:
    return ProcessGate(
        trail=cast("Any", postponed),
        leases=cast("LeaseStore", None),
        deferral=cast("Deferral", postponed),
        handlers=Handlers.of(pool_handlers.pid),
        pool=process_pool([], size=1),
        slots=Slots(slots, clock=clock, alone_seconds=1),
        clock=clock,
    )


def message() -> JobMessage:
    return JobMessage(request=JobRequest(type="pool.pid"))


async def test_other_types_go_on_while_all_processes_are_busy(
    workshop: Workshop, tmp_path: Path
) -> None:
    running = workshop.start_worker(pool_handlers.sleep, processes=1, concurrency=4)
    first = await workshop.submit("pool.sleep", str(tmp_path / "0"), max_attempts=1)
    await pid_in(tmp_path / "0")
    others = [await workshop.submit("pool.sleep", str(tmp_path / name)) for name in "123456"]
    for job_id in others:
        head = await workshop.until_state(job_id, State.DEFERRED)
        assert head.data == {"reason": "noProcess"}
    await workshop.run("demo.steps", {"steps": 1, "stepSeconds": 0})
    for job_id in others:
        assert await workshop.statuses(job_id) == ["Queued", "Deferred"]
    for job_id in others[1:]:
        await workshop.canceller.cancel(job_id, by="test")
        await workshop.until_state(job_id, State.CANCELLED)
    await workshop.canceller.cancel(first, by="test")
    await pid_in(tmp_path / "1")  # the process is another one's as soon as it is free
    await workshop.canceller.cancel(others[0], by="test")
    await workshop.until_state(others[0], State.CANCELLED)
    await running.stop()
    await workshop.verified()


async def test_messages_that_are_put_off_come_back_at_a_bounded_rate() -> None:
    postponed, clock = Postponed(), StoppedClock()
    gate = gate_with(postponed, clock, slots=10)
    for _ in range(1000):
        assert await gate.put_off(message())
    assert postponed.delays[0] == 1.0
    assert postponed.delays == sorted(postponed.delays)
    assert postponed.delays[-1] == LONGEST_DELAY
    clock.advance(LONGEST_DELAY + 1)
    await gate.put_off(message())
    assert postponed.delays[-1] == 1.0


async def test_a_long_queue_of_process_jobs_does_not_pass_through_at_full_speed() -> None:
    gate = gate_with(Postponed(), StoppedClock(), slots=1)
    gate._slots.take()  # the last free slot, in which nobody waits for a process
    assert [gate._patience() for _ in range(3)] == [0.0, APART_SECONDS, 2 * APART_SECONDS]
    gate._slots.release()
    assert gate._patience() >= WAIT_SECONDS


async def test_short_jobs_are_waited_for_in_the_last_free_slot_too() -> None:
    clock = StoppedClock()
    gate = gate_with(Postponed(), clock, slots=1)
    gate._slots.take()
    assert await gate._pool.place("job", 1)
    assert gate._patience() < WAIT_SECONDS
    gate._pool.free_place("job")
    assert gate._patience() >= WAIT_SECONDS
    clock.advance(WAIT_SECONDS)
    assert gate._patience() < WAIT_SECONDS


async def test_a_job_that_ends_hands_its_place_to_the_next() -> None:
    gate = gate_with(Postponed(), StoppedClock(), slots=10)
    first, second = message(), message()
    async with gate.place(first) as has_place:
        assert has_place
        async with gate.place(first) as again:  # the claim knows that the job runs
            assert again
        waiting = asyncio.create_task(gate.place(second).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate._pool.free_place(first.request.job_id)  # as the runner does, before the job's end
        assert await waiting
    assert gate._pool.has_place(second.request.job_id)
