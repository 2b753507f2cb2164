"""What a sweep publishes, when and how often, and what it removes: the protocol's whole list."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.submission import open_row, opening_change
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.control.pause_state import NO_PAUSES, FleetPauses
from jobfleet_protocol.trail.transitions import Change, draft
from jobfleet_worker.upkeep.election import LEADER_ELECTED
from jobfleet_worker.upkeep.rescuer import Rescuer
from tests.polling import eventually
from tests.protocol.steered_clock import SteeredClock
from tests.worker.workshop import DEFAULTS, Workshop


class Ward:
    """Jobs in every state of neglect, and the rescuer that looks after them."""

    def __init__(self, workshop: Workshop, clock: SteeredClock) -> None:
        self.workshop = workshop
        self.clock = clock
        self.backend = workshop.real
        self.pauses = NO_PAUSES
        self.handed: list[JobMessage] = []
        backend = workshop.backend
        writes = WriteSide.wire(backend=backend, clock=clock, defaults=DEFAULTS)
        self.submitter = writes.submitter
        self.rescuer = Rescuer(
            trail=backend.trail,
            index=backend.index,
            reader=backend.reader,
            leases=backend.leases,
            locks=backend.locks,
            queue=backend.queue,
            payloads=backend.payloads,
            ending=writes.ending,
            eraser=writes.eraser,
            publication=writes.publication,
            clock=clock,
            pauses=self._read_pauses,
            deliver_here=self.handed.append,
        )

    async def _read_pauses(self) -> FleetPauses:
        return self.pauses

    async def sweep(self) -> int:
        await self.backend.index.flush()
        published = await self.rescuer.sweep()
        await self.backend.index.flush()
        return published

    async def unpublished(self, **fields: Any) -> str:
        """A job whose submitter crashed between event 1 and the message."""
        self.workshop.queue.lose_request("publish")
        self.workshop.queue.lose_request("publish_later")
        job_id = (await self.submitter.submit(JobRequest(type="x", **fields))).job_id
        self.workshop.queue.heal()
        return job_id

    async def published(self, **fields: Any) -> str:
        return (await self.workshop.submitter.submit(JobRequest(type="x", **fields))).job_id

    async def write(self, job_id: str, *changes: Change, published: bool = False) -> Event:
        head = await self.workshop.head(job_id)
        for change in changes:
            head = draft(head, head.facts, change, occurred_at=self.clock.now())
            await self.backend.trail.insert([head])
            self.backend.index.record([head])
        if published:
            self.backend.index.published(job_id, head.after.incarnation, head.sequence)
        return head

    async def running(self, *, leased: bool, **fields: Any) -> str:
        job_id = await self.published(**fields)
        lock = job_lock(job_id)
        await self.write(job_id, Change(kind=Status.STARTED, worker_id="w1", lock=lock))
        await self.backend.leases.create(lock)
        if leased:
            await self.backend.leases.acquire(lock, "w1's", 15)
        return job_id

    async def waiting(self, *, sent: bool, seconds: float) -> str:
        job_id = await self.running(leased=True)
        deadline = self.clock.now() + timedelta(seconds=seconds)
        await self.write(job_id, Change(kind=Status.WAITING, worker_id="w1", due_at=deadline))
        if sent:
            await self.write(job_id, Change(kind=Status.STEP, step=1, worker_id="w1", sent=True))
        await self.backend.leases.delete(job_lock(job_id), "w1's")
        return job_id

    async def put_off(self, job_id: str, seconds: float, *, published: bool) -> None:
        due_at = self.clock.now() + timedelta(seconds=seconds)
        await self.write(job_id, Change(kind=Status.DEFERRED, due_at=due_at), published=published)

    async def empty_lane(self) -> None:
        consumer = self.backend.consumer()
        await consumer.start(["default"])
        for delivery in await consumer.receive(10, timedelta(0)):
            await delivery.ack()
        await consumer.stop()

    async def open_rows(self) -> list[OpenRow]:
        return list((await self.backend.reader.open_rows()).items)


@pytest.fixture
def ward(workshop: Workshop, clock: SteeredClock) -> Ward:
    return Ward(workshop, clock)


async def paces(ward: Ward, times: list[float]) -> list[int]:
    """Sweep at each of these seconds; returns how many jobs each sweep published."""
    published, at = [], 0.0
    for second in times:
        ward.clock.advance(second - at)
        at = second
        published.append(await ward.sweep())
    return published


async def test_a_running_job_whose_lease_is_gone_is_published_at_once_then_ever_more_rarely(
    ward: Ward,
) -> None:
    await ward.running(leased=False)
    assert await paces(ward, [0, 5, 11, 20, 32, 50, 72]) == [1, 0, 1, 0, 1, 0, 1]


async def test_a_running_job_whose_lease_lives_is_left_alone(ward: Ward) -> None:
    await ward.running(leased=True)
    assert await paces(ward, [0, 5, 10]) == [0, 0, 0]
    assert await paces(ward, [6]) == [1]


async def test_an_unpublished_job_is_published_after_a_minute(ward: Ward) -> None:
    await ward.unpublished()
    assert await paces(ward, [0, 30, 61, 122, 300]) == [0, 0, 1, 0, 0]


async def test_a_queued_job_behind_a_busy_lane_is_left_alone_for_an_hour(ward: Ward) -> None:
    for _ in range(3):
        await ward.published()
    assert await paces(ward, [61, 900, 3590]) == [0, 0, 0]
    assert await paces(ward, [30]) == [3]


@pytest.mark.parametrize("kind", [Status.DEFERRED, Status.RETRY_SCHEDULED])
async def test_a_due_job_behind_a_busy_lane_is_left_alone_for_an_hour_after_it_was_due(
    ward: Ward, kind: Status
) -> None:
    job_id = await ward.running(leased=False)
    due_at = ward.clock.now() + timedelta(seconds=900)
    kinds = [kind] if kind is Status.DEFERRED else [Status.ATTEMPT_FAILED, kind]
    changes = [Change(kind=each, due_at=due_at, worker_id="w1") for each in kinds]
    await ward.write(job_id, *changes, published=True)
    assert await paces(ward, [890, 962, 2000, 4490]) == [0, 0, 0, 0]
    assert await paces(ward, [20]) == [1]


async def test_a_queued_job_whose_lane_is_empty_is_published_after_a_minute(ward: Ward) -> None:
    await ward.published()
    await ward.empty_lane()
    assert await paces(ward, [30, 61]) == [0, 1]


async def test_what_is_due_within_the_hour_and_unpublished_is_published_at_once(
    ward: Ward,
) -> None:
    await ward.unpublished(run_at=ward.clock.now() + timedelta(minutes=30))
    assert await paces(ward, [0, 1]) == [1, 0]
    (depth,) = [d for d in await ward.backend.queue.depths() if d.lane == "normal"]
    assert depth.ready == 0


async def test_what_is_due_in_hours_waits_for_its_last_hour(ward: Ward) -> None:
    await ward.published(run_at=ward.clock.now() + timedelta(hours=3))
    assert await paces(ward, [0, 3600, 7100, 7210, 7230]) == [0, 0, 0, 1, 0]


async def test_a_schedule_whose_row_knows_no_event_yet_is_published_too(ward: Ward) -> None:
    """The submitter died right after event 1, before the copy was written."""
    request = JobRequest(type="x", run_at=ward.clock.now() + timedelta(minutes=5))
    await _event_1_alone(ward, request)
    assert await paces(ward, [0, 1]) == [1, 0]


async def _event_1_alone(ward: Ward, request: JobRequest) -> None:
    now = ward.clock.now()
    facts = JobFacts.of(request)
    event = draft(None, facts, opening_change(request, DEFAULTS, now=now, by=None), occurred_at=now)
    await ward.backend.index.open(open_row(facts, event.after, now))
    await ward.backend.trail.insert([event])


@pytest.mark.parametrize("published", [True, False])
async def test_a_deferred_job_is_published_at_once_or_a_minute_after_it_was_due(
    ward: Ward, published: bool
) -> None:
    job_id = await ward.published()
    await ward.put_off(job_id, 20, published=published)
    found = await paces(ward, [1, 25, 70])
    await ward.empty_lane()  # its message is lost
    assert [*found, *await paces(ward, [11])] == ([0, 0, 0, 1] if published else [1, 0, 0, 1])


async def test_a_waiting_job_is_published_near_its_deadline(ward: Ward) -> None:
    await ward.waiting(sent=True, seconds=300)
    assert await paces(ward, [0, 60, 280]) == [0, 0, 0]
    assert await paces(ward, [25]) == [1]


async def test_a_waiting_job_whose_request_did_not_leave_is_published_at_once(
    ward: Ward,
) -> None:
    await ward.waiting(sent=False, seconds=300)
    assert await ward.sweep() == 1


async def test_the_row_of_an_ended_job_goes_after_its_callback_is_submitted(ward: Ward) -> None:
    job_id = await ward.running(leased=False, callback_url="https://example.org/done")
    await ward.write(job_id, Change(kind=Status.COMPLETED, worker_id="w1", data={"result": 1}))
    ward.clock.advance(4)
    await ward.sweep()
    callback = await ward.workshop.history(callback_job_id(job_id, 1))
    assert callback[0].facts.job_type == "callback.deliver"
    assert [row.facts.job_id for row in await ward.open_rows()] == [callback[0].job_id]


async def test_an_end_that_was_just_written_is_left_to_who_wrote_it(ward: Ward) -> None:
    job_id = await ward.running(leased=False)
    await ward.write(job_id, Change(kind=Status.COMPLETED, worker_id="w1"))
    await ward.sweep()
    assert [row.facts.job_id for row in await ward.open_rows()] == [job_id]
    ward.clock.advance(4)
    await ward.sweep()
    assert await ward.open_rows() == []


async def test_the_row_of_an_earlier_incarnation_goes_and_its_callback_is_not_forgotten(
    ward: Ward,
) -> None:
    job_id = await ward.running(leased=False, callback_url="https://example.org/done")
    await ward.write(job_id, Change(kind=Status.FAILED, worker_id="w1", message="no luck"))
    await ward.workshop.redriver.redrive(job_id, by=None)
    await ward.sweep()
    callback = (await ward.workshop.history(callback_job_id(job_id, 1)))[0]
    assert callback.data["request"]["payload"] == {"jobId": job_id, "incarnation": 1}
    assert {(r.facts.job_id, r.incarnation) for r in await ward.open_rows()} == {
        (job_id, 2),
        (callback.job_id, 1),
    }


async def test_a_row_without_its_event_stays_for_an_hour(ward: Ward) -> None:
    request = JobRequest(type="x")
    event = draft(
        None,
        (await ward.workshop.head(await ward.published())).facts,
        Change(kind=Status.QUEUED),
        occurred_at=ward.clock.now(),
    )
    row = open_row(event.facts, event.after, ward.clock.now())
    orphan = replace(row, facts=replace(row.facts, job_id=request.job_id))
    await ward.backend.index.open(orphan)
    await paces(ward, [61, 900, 2_600])
    assert orphan.facts.job_id in {r.facts.job_id for r in await ward.open_rows()}
    await paces(ward, [1_000])
    assert orphan.facts.job_id not in {r.facts.job_id for r in await ward.open_rows()}


async def test_a_row_that_fell_behind_is_brought_up_to_date(ward: Ward) -> None:
    job_id = await ward.published()
    head = await ward.workshop.head(job_id)
    lock = job_lock(job_id)
    started = draft(
        head,
        head.facts,
        Change(kind=Status.STARTED, worker_id="w1", lock=lock),
        occurred_at=ward.clock.now(),
    )
    await ward.backend.trail.insert([started])  # and the process died before the copy
    ward.clock.advance(3700)
    assert await ward.sweep() == 1
    (row,) = await ward.open_rows()
    assert (row.state, row.sequence, row.lock) == (State.RUNNING, 2, lock)


async def test_a_row_that_cannot_be_read_holds_up_no_other(ward: Ward) -> None:
    broken = await ward.running(leased=False)
    await _spoil_event_1(ward, broken)
    whole = await ward.running(leased=False)
    assert await ward.sweep() == 1
    assert whole != broken


async def test_a_job_whose_payload_was_lost_holds_up_no_other(ward: Ward) -> None:
    large = JobRequest(type="x", payload="x" * 40_000, run_at=ward.clock.now() + timedelta(hours=2))
    await ward.workshop.submitter.submit(large)
    await ward.workshop.real.payloads.delete_job(large.job_id)
    ward.clock.advance(2 * 3600 + 1)
    await ward.running(leased=False)
    assert await ward.sweep() == 1


async def _spoil_event_1(ward: Ward, job_id: str) -> None:
    real = ward.workshop.real.trail.read

    async def read(asked: str, sequence: int) -> Event | None:
        event = await real(asked, sequence)
        if event is not None and asked == job_id:
            event = replace(event, data={"request": {"type": "x", "priority": "high"}})
        return event

    ward.workshop.trail.__dict__["read"] = read


async def test_a_sweep_looks_at_a_bounded_number_of_queued_jobs(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobfleet_worker.upkeep.rescuer.PAGE_ROWS", 5)
    for _ in range(25):
        await ward.unpublished()
    assert await paces(ward, [61, 62, 63, 64]) == [10, 10, 5, 0]


async def test_the_published_mark_is_set_after_the_confirm_alone(ward: Ward) -> None:
    await ward.unpublished()
    ward.workshop.queue.lose_request("publish")
    with pytest.raises(BackendUnavailable, match="confirms nothing"):  # another one may lead
        await paces(ward, [61])
    assert [row.published for row in await ward.open_rows()] == [0]
    assert await paces(ward, [61]) == [1]
    assert [row.published for row in await ward.open_rows()] == [1]


async def test_a_job_that_storage_did_not_answer_about_waits_no_longer_for_it(ward: Ward) -> None:
    """Each such look once doubled the pause: a lost job waited for minutes after an outage."""
    await ward.running(leased=False)
    for _ in range(4):
        ward.workshop.trail.lose_request("newest")
        with pytest.raises(BackendUnavailable, match="lost on the way"):
            await paces(ward, [10])
        ward.workshop.trail.heal()
    assert await paces(ward, [10]) == [1]


async def test_an_open_row_that_cannot_be_read_ends_no_worker(
    workshop: Workshop, tmp_path: Path
) -> None:
    tomorrow = workshop.clock.now() + timedelta(days=1)
    broken = await workshop.submit("demo.steps", run_at=tomorrow)
    await workshop.real.index.flush()
    with closing(sqlite3.connect(tmp_path / "jobfleet.db")) as database, database:
        database.execute("UPDATE open_jobs SET due_at = 'soon' WHERE job_id = ?", (broken,))
    with structlog.testing.capture_logs() as logs:
        workshop.start_worker()
        await workshop.run("demo.steps", {"steps": 1, "stepSeconds": 0.5})
    entries = [line for line in logs if line["event"] == "open_row.unreadable"]
    assert [line["job_id"] for line in entries] == [broken]


async def test_one_worker_sweeps_and_another_follows_when_it_stops(workshop: Workshop) -> None:
    def elections(logs: list[Any]) -> Callable[[int], Callable[[], Awaitable[bool]]]:
        def at_least(count: int) -> Callable[[], Awaitable[bool]]:
            async def held() -> bool:
                return [e["event"] for e in logs].count(LEADER_ELECTED) >= count

            return held

        return at_least

    with structlog.testing.capture_logs() as logs:
        so_far = elections(logs)
        first = workshop.start_worker()
        await eventually("an election", so_far(1))
        workshop.start_worker()
        await asyncio.sleep(0.8)  # several sweeps: a second leader would show
        assert not await so_far(2)()
        await first.stop()
        await eventually("another election", so_far(2))


@pytest.mark.parametrize("reason", ["noHandler", "alone", "noProcess", "other", None])
async def test_a_message_that_workers_pass_on_is_hardly_ever_copied(
    ward: Ward, clock: SteeredClock, reason: str | None
) -> None:
    job_id = await ward.published()
    data = {} if reason is None else {"reason": reason}
    change = Change(kind=Status.DEFERRED, due_at=clock.now(), data=data)
    await ward.write(job_id, change, published=True)
    copies = 0
    for _ in range(60):
        await ward.empty_lane()
        clock.advance(5 * 60)
        copies += await ward.sweep()
    if reason in ("noHandler", "alone", "noProcess"):
        assert 1 <= copies <= 3
    else:
        assert copies > 10


async def test_a_message_that_workers_pass_on_is_not_copied_because_its_lock_key_is_free(
    ward: Ward, clock: SteeredClock
) -> None:
    job_id = await ward.published(lock_key="k")
    change = Change(kind=Status.DEFERRED, due_at=clock.now(), data={"reason": "noProcess"})
    await ward.write(job_id, change, published=True)
    copies = 0
    for _ in range(20):
        await ward.empty_lane()  # it waits in a delay queue
        clock.advance(30)
        copies += await ward.sweep()
    assert copies == 0
