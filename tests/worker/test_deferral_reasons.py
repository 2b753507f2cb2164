"""Each ``Deferred`` says in its data why."""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_worker import Defer, handler
from tests.worker.workshop import Workshop


@handler("deferring")
async def deferring(payload: Any = None) -> None:
    raise Defer(30, "not now")


async def deferred(workshop: Workshop, job_id: str) -> Event:
    await workshop.until_state(job_id, State.DEFERRED)
    history = await workshop.history(job_id)
    return next(event for event in history if event.kind is Status.DEFERRED)


async def test_a_lock_that_is_taken_is_the_reason_lock(workshop: Workshop) -> None:
    workshop.start_worker()
    payload = {"steps": 1, "stepSeconds": 1}
    first = await workshop.submit("demo.steps", payload, lock_key="k")
    await workshop.until_state(first, State.RUNNING)
    second = await workshop.submit("demo.steps", payload, lock_key="k")
    assert (await deferred(workshop, second)).data == {"reason": "lock"}


async def test_a_handler_that_defers_is_the_reason_handler(workshop: Workshop) -> None:
    workshop.start_worker(deferring)
    event = await deferred(workshop, await workshop.submit("deferring"))
    assert event.data["reason"] == "handler"


async def test_a_worker_that_stops_is_the_reason_shutdown(workshop: Workshop) -> None:
    running = workshop.start_worker(drain_seconds=0.1)
    job_id = await workshop.submit("demo.steps", {"steps": 100, "stepSeconds": 0.2})
    await workshop.until_state(job_id, State.RUNNING)
    await running.stop()
    assert (await deferred(workshop, job_id)).data["reason"] == "shutdown"


async def test_a_paused_type_is_the_reason_paused_and_names_the_pause(workshop: Workshop) -> None:
    pauses = Pauses(
        log=workshop.real.control_log, control=workshop.real.control, clock=workshop.clock
    )
    await pauses.pause(ControlSubject.TYPE, "deferring", by="me")
    workshop.start_worker(deferring)
    event = await deferred(workshop, await workshop.submit("deferring"))
    paused = {"reason": "paused", "subject": "type", "name": "deferring", "entry": 1}
    assert event.data == paused
