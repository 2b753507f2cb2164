"""What is said of a job that could start and has not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import Census, QueueDepth
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_protocol.reading.waiting_reason import FleetNow, reasons_for
from tests.conformance.jobs import BEGIN, after, open_job, queued

FREE = WorkerStatus(worker_id="w", slots=2, queues=("default",), types=("demo.steps",))
FLEET = FleetNow(pause=None, workers=[FREE], depths=[], census=Census({}, {}), now=BEGIN)


def _reasons(head: Event, fleet: FleetNow = FLEET) -> list[tuple[str, str]]:
    return [(reason.kind, reason.text) for reason in reasons_for(head, fleet)]


def test_a_job_behind_others_is_told_slots_and_jobs_ahead_and_who_waits_longest() -> None:
    busy = replace(FREE, running=(RunningJob(job_id="a"), RunningJob(job_id="b")))
    oldest = open_job(queued(begin=BEGIN - timedelta(minutes=4)), state=State.QUEUED)
    depths = [QueueDepth("default", "high", 5), QueueDepth("default", "normal", 201)]
    depths += [QueueDepth("default", "low", 90), QueueDepth("mail", "normal", 7)]
    fleet = replace(FLEET, workers=[busy], depths=depths, census=Census({}, {"default": oldest}))
    assert _reasons(queued(), fleet) == [
        ("slots", "All 2 slots of the workers that could run it are busy."),
        ("ahead", "Up to 205 jobs are ahead of it in queue default; the oldest waits 4 min."),
    ]


def test_a_pause_is_named_first_with_who_until_when_and_why() -> None:
    pause = Pause(
        subject=ControlSubject.QUEUE,
        name="default",
        sequence=1,
        by="nightops",
        since=BEGIN,
        until=BEGIN + timedelta(hours=1),
        reason="token=hunter2hunter2",
    )
    ((kind, text),) = _reasons(queued(), replace(FLEET, pause=pause))
    assert (kind, text.startswith("Queue default paused by nightops until ")) == ("paused", True)
    assert "hunter2" not in text


def test_a_job_whose_time_has_not_come_is_told_when_it_is_tried() -> None:
    due = BEGIN + timedelta(minutes=2)
    deferred = after(
        queued(),
        "Deferred",
        seconds=0,
        due_at=due,
        message="lock customer-7 is held",
        data={"reason": "lock"},
    )
    (time, lock) = _reasons(deferred)
    assert (time[0], time[1].endswith("in 2 min.")) == ("time", True)
    assert lock == ("deferred", "Lock customer-7 is held.")
    handed_back = replace(deferred, message="worker is shutting down", data={"reason": "shutdown"})
    assert ("deferred", "Its worker shut down and handed it back.") in _reasons(handed_back)
    rate = replace(deferred, data={"reason": "rate", "rate": "api-stripe"})
    assert ("deferred", "It waits for rate api-stripe.") in _reasons(rate)


def test_a_job_that_nobody_serves_or_handles_is_told_so() -> None:
    assert _reasons(queued(), replace(FLEET, workers=[])) == [
        ("noWorker", "No live worker serves queue default.")
    ]
    other = replace(FREE, types=("other",))
    assert _reasons(queued(), replace(FLEET, workers=[other])) == [
        ("noHandler", "No live worker of queue default has a handler for type demo.steps.")
    ]
    assert [kind for kind, _ in _reasons(queued())] == ["soon"]
