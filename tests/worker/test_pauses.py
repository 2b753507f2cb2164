"""Paused queues and types: nothing starts, what runs goes on, all of it runs after the resume."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.submission import message_of
from jobfleet_protocol.audit.control_check import check_control_log
from jobfleet_protocol.control.pause_state import RESCUER
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.trail.transitions import Change, draft
from jobfleet_worker import handler
from tests.polling import eventually
from tests.worker.workshop import Workshop

QUEUE, TYPE = ControlSubject.QUEUE, ControlSubject.TYPE


@handler("quick")
async def quick(payload: Any = None) -> None:
    """Do nothing: the trail shows that it ran."""


@handler("other")
async def other(payload: Any = None) -> None:
    """Do nothing: the trail shows that it ran."""


def pauses_of(workshop: Workshop) -> Pauses:
    return Pauses(log=workshop.real.control_log, control=workshop.control, clock=workshop.clock)


async def log_of(workshop: Workshop, subject: ControlSubject, name: str) -> Sequence[ControlEntry]:
    log = await workshop.real.control_log.history(subject, name)
    return log[::-1]


@handler("new.name", aliases=["old.name"])
async def renamed(payload: Any) -> None:
    """Run at once."""


async def until_known(workshop: Workshop, *, paused: bool) -> None:
    """Wait until each worker knows of the pause, or of the resume."""

    async def known() -> bool:
        latest = [running.worker._receiving.pause_watch.latest for running in workshop._workers]
        return all(
            found is not None and bool(found.queues or found.types) is paused for found in latest
        )

    await eventually("every worker has read the control log", known)


async def starts(workshop: Workshop, jobs: Sequence[str]) -> int:
    histories = [await workshop.history(job_id) for job_id in jobs]
    return sum(event.kind is Status.STARTED for events in histories for event in events)


async def nothing_more_starts(workshop: Workshop, jobs: Sequence[str], seconds: float) -> None:
    """Look for as long as a rescuer would need that published what it must not."""
    before = await starts(workshop, jobs)
    await asyncio.sleep(seconds)  # nothing to poll for: what may not happen
    assert await starts(workshop, jobs) == before


async def test_nothing_of_a_queue_starts_while_it_is_paused_and_all_of_it_after_the_resume(
    workshop: Workshop,
) -> None:
    first = workshop.start_worker(quick)
    workshop.start_worker(quick)
    jobs = [await workshop.submit("quick") for _ in range(100)]
    pauses = pauses_of(workshop)
    await pauses.pause(QUEUE, "default", by="nightops", reason="storm")
    await until_known(workshop, paused=True)
    jobs += [await workshop.submit("quick") for _ in range(20)]
    await nothing_more_starts(workshop, jobs, 1)
    await first.stop()
    workshop.start_worker(quick)
    await nothing_more_starts(workshop, jobs, 1)
    assert await starts(workshop, jobs) < len(jobs)
    await pauses.resume(QUEUE, "default", by="nightops")
    for job_id in jobs:
        await workshop.until_state(job_id, State.COMPLETED, seconds=120)


async def test_another_queue_goes_on(workshop: Workshop) -> None:
    workshop.start_worker(quick, queues=("default", "mail"))
    await pauses_of(workshop).pause(QUEUE, "mail", by="nightops")
    await until_known(workshop, paused=True)
    held = await workshop.submit("quick", queue="mail")
    ended = await workshop.run("quick")
    assert ended.after.state is State.COMPLETED
    assert await workshop.statuses(held) == ["Queued"]


async def test_a_job_of_a_paused_type_is_deferred_once_and_runs_after_the_resume(
    workshop: Workshop,
) -> None:
    workshop.start_worker(quick, other)
    pauses = pauses_of(workshop)
    await pauses.pause(TYPE, "quick", by="nightops", reason="bad release")
    await until_known(workshop, paused=True)
    job_id = await workshop.submit("quick")
    head = await workshop.until_state(job_id, State.DEFERRED)
    assert head.data["reason"] == "paused"
    assert head.message == "type quick paused by nightops, reason: bad release"
    assert (await workshop.run("other")).after.state is State.COMPLETED
    await nothing_more_starts(workshop, [job_id], 1)
    assert await workshop.statuses(job_id) == ["Queued", "Deferred"]
    await pauses.resume(TYPE, "quick", by="nightops")
    await workshop.until_state(job_id, State.COMPLETED)
    assert await workshop.statuses(job_id) == ["Queued", "Deferred", "Started", "Completed"]


async def test_a_second_pause_defers_the_same_job_again_and_it_runs_promptly_after_both(
    workshop: Workshop,
) -> None:
    workshop.start_worker(quick)
    pauses = pauses_of(workshop)
    await pauses.pause(TYPE, "quick", by="me")
    await until_known(workshop, paused=True)
    job_id = await workshop.submit("quick")
    await workshop.until_state(job_id, State.DEFERRED)
    await pauses.resume(TYPE, "quick", by="me")
    await pauses.pause(TYPE, "quick", by="me")
    head = await workshop.head(job_id)
    if not head.after.state.is_terminal:
        # As if the rescuer had published it in between: its message comes during the second pause.
        opening = (await workshop.history(job_id))[0]
        message = await message_of(opening, head, workshop.real.payloads, workshop.clock.now())
        await workshop.real.queue.publish(message)
        await workshop.real.index.published(job_id, 1, head.sequence)
    await until_known(workshop, paused=True)
    await nothing_more_starts(workshop, [job_id], 0.5)
    await pauses.resume(TYPE, "quick", by="me")
    await workshop.until_state(job_id, State.COMPLETED)


async def test_a_job_that_runs_when_its_queue_is_paused_goes_on(workshop: Workshop) -> None:
    workshop.start_worker()
    job_id = await workshop.submit("demo.steps", {"steps": 3, "stepSeconds": 0.5})
    await workshop.until_state(job_id, State.RUNNING)
    await pauses_of(workshop).pause(QUEUE, "default", by="me")
    assert (await workshop.until_ended(job_id)).after.state is State.COMPLETED


@pytest.mark.parametrize(("subject", "name"), [(QUEUE, "default"), (TYPE, "quick")])
async def test_a_lost_announcement_is_made_up_for_by_the_next_heartbeat(
    workshop: Workshop, subject: ControlSubject, name: str
) -> None:
    workshop.start_worker(quick)
    await workshop.run("quick")
    pauses = pauses_of(workshop)
    workshop.control.lose_request("announce_change")
    await pauses.pause(subject, name, by="me")
    await until_known(workshop, paused=True)
    job_id = await workshop.submit("quick")
    await nothing_more_starts(workshop, [job_id], 1)
    workshop.control.lose_request("announce_change")
    await pauses.resume(subject, name, by="me")
    await workshop.until_state(job_id, State.COMPLETED)


@pytest.mark.parametrize(("subject", "name"), [(QUEUE, "default"), (TYPE, "quick")])
async def test_all_runs_after_a_resume_whose_command_died_right_after_its_entry(
    workshop: Workshop, subject: ControlSubject, name: str
) -> None:
    workshop.start_worker(quick)
    pauses = pauses_of(workshop)
    await pauses.pause(subject, name, by="me")
    await until_known(workshop, paused=True)
    jobs = [await workshop.submit("quick") for _ in range(20)]

    async def die() -> None:
        raise asyncio.CancelledError

    workshop.control.before("announce_change", die)
    with pytest.raises(asyncio.CancelledError):
        await pauses.resume(subject, name, by="me")
    for job_id in jobs:
        await workshop.until_state(job_id, State.COMPLETED)


async def test_the_leader_resumes_at_until_and_says_so_in_the_log(workshop: Workshop) -> None:
    workshop.start_worker(quick)
    soon = workshop.clock.now() + timedelta(seconds=1.5)
    await pauses_of(workshop).pause(QUEUE, "default", by="me", until=soon)
    await until_known(workshop, paused=True)
    job_id = await workshop.submit("quick")
    started = (await workshop.until_state(job_id, State.COMPLETED)).occurred_at
    assert started >= soon
    log = await log_of(workshop, QUEUE, "default")
    assert [entry.kind for entry in log] == [ControlKind.PAUSED, ControlKind.RESUMED]
    assert log[1].by == RESCUER
    assert check_control_log(log) == []


async def test_a_worker_that_cannot_read_the_control_log_takes_nothing(
    workshop: Workshop,
) -> None:
    log = workshop.control_log
    log.lose_request("heads", times=10_000, error=BackendUnavailable("away"))
    workshop.start_worker(quick)
    job_id = await workshop.submit("quick")
    await nothing_more_starts(workshop, [job_id], 1)
    assert await workshop.statuses(job_id) == ["Queued"]
    log.heal()
    await workshop.until_state(job_id, State.COMPLETED)


async def test_a_lost_worker_of_a_paused_queue_is_followed_after_the_resume_only(
    workshop: Workshop,
) -> None:
    pauses = pauses_of(workshop)
    job_id = await lost_run(workshop)
    await pauses.pause(QUEUE, "default", by="me")
    workshop.start_worker(quick)
    await nothing_more_starts(workshop, [job_id], 1.5)
    assert await workshop.statuses(job_id) == ["Queued", "Started"]
    await pauses.resume(QUEUE, "default", by="me")
    await workshop.until_state(job_id, State.COMPLETED)


@pytest.mark.parametrize(("subject", "name"), [(QUEUE, "default"), (TYPE, "quick")])
async def test_a_cancel_of_a_job_whose_worker_was_lost_ends_it_during_the_pause(
    workshop: Workshop, subject: ControlSubject, name: str
) -> None:
    job_id = await lost_run(workshop)
    await pauses_of(workshop).pause(subject, name, by="me")
    workshop.start_worker(quick)
    await workshop.canceller.cancel(job_id, by="me")
    assert (await workshop.until_ended(job_id)).after.state is State.CANCELLED


@pytest.mark.parametrize(("subject", "name"), [(QUEUE, "default"), (TYPE, "quick")])
async def test_the_deadline_of_a_waiting_job_goes_on_during_the_pause(
    workshop: Workshop, subject: ControlSubject, name: str
) -> None:
    job_id = await lost_run(workshop)
    head = await workshop.head(job_id)
    deadline = workshop.clock.now() + timedelta(seconds=2)
    waiting = Change(
        kind=Status.WAITING, worker_id=head.worker_id, due_at=deadline, lock=head.after.lock
    )
    await write(workshop, head, waiting)
    await pauses_of(workshop).pause(subject, name, by="me")
    workshop.start_worker(quick)
    assert (await workshop.until_ended(job_id)).after.state is State.TIMED_OUT


async def test_the_callback_of_a_job_that_ended_is_tried_during_the_pause_of_its_queue(
    workshop: Workshop,
) -> None:
    await pauses_of(workshop).pause(QUEUE, "default", by="me")
    workshop.start_worker(quick)
    await until_known(workshop, paused=True)
    job_id = await workshop.submit("quick", callback_url="https://127.0.0.1:9/result")
    await workshop.canceller.cancel(job_id, by="me")

    callback = callback_job_id(job_id, 1)
    # No job may call this address: that the callback failed shows that it was tried.
    assert (await workshop.until_ended(callback)).after.state is State.FAILED


@pytest.mark.parametrize(("subject", "name"), [(QUEUE, "default"), (TYPE, "quick")])
async def test_one_job_runs_all_the_same_when_an_operator_says_so(
    workshop: Workshop, subject: ControlSubject, name: str
) -> None:
    for _ in range(2):
        workshop.start_worker(quick)
    pauses = pauses_of(workshop)
    await pauses.pause(subject, name, by="me")
    await until_known(workshop, paused=True)
    chosen, left = [await workshop.submit("quick") for _ in range(2)]
    await pauses.run_anyway(await workshop.head(chosen), by="me", reason="the customer waits")
    await workshop.until_state(chosen, State.COMPLETED)
    await nothing_more_starts(workshop, [left], 0.5)
    assert "Started" not in await workshop.statuses(left)
    log = await log_of(workshop, subject, name)
    assert log[-1].details["jobId"] == chosen
    assert check_control_log(log) == []


async def lost_run(workshop: Workshop) -> str:
    """A job that runs, by its trail, while its lock is free."""
    job_id = await workshop.submit("quick")
    head = await workshop.head(job_id)
    started = Change(kind=Status.STARTED, worker_id=new_id(), lock=job_lock(job_id))
    await write(workshop, head, started)
    return job_id


async def write(workshop: Workshop, head: Event, change: Change) -> None:
    event = draft(head, head.facts, change, occurred_at=workshop.clock.now())
    await workshop.real.trail.insert([event])
    await workshop.real.index.record([event])


async def test_a_pause_of_a_type_holds_jobs_of_its_earlier_names_too(workshop: Workshop) -> None:
    workshop.start_worker(renamed, other)
    pauses = pauses_of(workshop)
    await pauses.pause(TYPE, "new.name", by="nightops", reason="bad release")
    await until_known(workshop, paused=True)
    job_ids = [await workshop.submit(name) for name in ("new.name", "old.name", "old.name")]
    for job_id in job_ids:
        head = await workshop.until_state(job_id, State.DEFERRED)
        assert head.data["name"] == "new.name"
    assert (await workshop.run("other")).after.state is State.COMPLETED
    found = await pauses.of_job(await workshop.head(job_ids[1]))
    assert found is not None
    assert found.name == "new.name"
    await pauses.run_job_anyway(job_ids[1], trail=workshop.real.trail, by="nightops")
    await workshop.until_state(job_ids[1], State.COMPLETED, seconds=120)
    assert await starts(workshop, [job_ids[0], job_ids[2]]) == 0
    await pauses.resume(TYPE, "new.name", by="nightops")
    for job_id in job_ids:
        await workshop.until_state(job_id, State.COMPLETED, seconds=120)


async def test_a_pause_of_an_earlier_name_holds_no_jobs_of_the_new_one(workshop: Workshop) -> None:
    workshop.start_worker(renamed)
    await pauses_of(workshop).pause(TYPE, "old.name", by="nightops")
    await until_known(workshop, paused=True)
    held = await workshop.submit("old.name")
    assert (await workshop.run("new.name")).after.state is State.COMPLETED
    await workshop.until_state(held, State.DEFERRED)
