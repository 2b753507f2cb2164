"""Payload keys that a handler declares: jobs are found by their values, whatever submitted them."""

from __future__ import annotations

import pytest

from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.lookup_keys import keys_of
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.type_keys import TypeKeys, declared_keys
from jobfleet_protocol.reading.search import narrow
from jobfleet_worker import handler
from tests.polling import eventually
from tests.worker.workshop import Workshop


@handler("crm.sync", index=["customer", "token"])
async def sync(payload: dict[str, object]) -> None:
    pass


@handler("crm.sync", index=["order"])
async def sync_of_a_later_release(payload: dict[str, object]) -> None:
    pass


async def _found(workshop: Workshop, search: str) -> list[str]:
    await workshop.real.index.flush()
    page = await workshop.real.reader.jobs(narrow(JobQuery(), search))
    return [row.facts.job_id for row in page.items]


async def _announced(workshop: Workshop) -> tuple[str, ...]:
    async def look() -> tuple[str, ...]:
        log = workshop.real.control_log
        return declared_keys(await log.newest(ControlSubject.TYPE, "crm.sync"))

    return await eventually("the keys are announced", look)


async def test_a_job_is_found_by_a_declared_key_and_never_by_a_credential(
    workshop: Workshop,
) -> None:
    workshop.start_worker(sync)
    assert await _announced(workshop) == ("customer", "token")
    secret = "xoxb-1234567890-abcdefghij"
    payload = {"customer": "Customer-10", "token": secret, "other": 1}
    job_id = await workshop.submit("crm.sync", payload)
    await workshop.submit("crm.sync", {"customer": "Customer-11"})
    assert await _found(workshop, "payload.customer:customer-10") == [job_id]
    assert await _found(workshop, f"payload.token:{secret}") == []
    (first, *_) = await workshop.history(job_id)
    assert first.data["indexed"] == {"payload.customer": "customer-10"}
    await workshop.until_ended(job_id)
    assert await _found(workshop, "payload.customer:customer-10 -state:completed") == []


async def test_the_claim_adds_the_keys_that_a_foreign_publisher_does_not_know(
    workshop: Workshop,
) -> None:
    workshop.start_worker(sync)
    await _announced(workshop)
    request = JobRequest(type="crm.sync", payload={"customer": 42})
    await workshop.real.queue.publish(JobMessage(request=request))
    await workshop.until_ended(request.job_id)
    assert await _found(workshop, "payload.customer:42") == [request.job_id]


async def test_the_claim_adds_the_keys_of_jobs_submitted_before_they_were_announced(
    workshop: Workshop,
) -> None:
    job_id = await workshop.submit("crm.sync", {"customer": 4.0})
    assert await _found(workshop, "payload.customer:4") == []
    workshop.start_worker(sync)
    await workshop.until_ended(job_id)
    assert await _found(workshop, "payload.customer:4") == [job_id]


async def test_keys_of_two_releases_and_a_pause_stand_beside_each_other(workshop: Workshop) -> None:
    log, clock = workshop.real.control_log, workshop.clock
    pauses = Pauses(log=log, control=workshop.real.control, clock=clock)
    keys = TypeKeys(log=log, clock=clock)
    await keys.announce("crm.sync", ["customer"])
    await pauses.pause(ControlSubject.TYPE, "crm.sync", by="nightops", reason="closing")
    await keys.announce("crm.sync", ["order"])
    assert await keys.announce("crm.sync", ["customer"]) is None
    assert "crm.sync" in (await pauses.read()).types
    await pauses.resume(ControlSubject.TYPE, "crm.sync", by="nightops")
    newest = await log.newest(ControlSubject.TYPE, "crm.sync")
    assert declared_keys(newest) == ("order", "customer")
    assert newest is not None
    assert (newest.kind, newest.state["paused"]) == (ControlKind.RESUMED, False)
    assert await TypeKeys(log=log, clock=clock).of("crm.sync") == ("order", "customer")


async def test_a_payload_that_lies_apart_is_found_by_its_keys_too(workshop: Workshop) -> None:
    await TypeKeys(log=workshop.real.control_log, clock=workshop.clock).announce(
        "crm.sync", ["customer"]
    )
    job_id = await workshop.submit("crm.sync", {"customer": "large", "text": "x" * 100_000})
    (first,) = await workshop.history(job_id)
    assert first.data.keys() == {"blob", "size", "indexed"}
    assert await _found(workshop, "payload.customer:large") == [job_id]


@pytest.mark.parametrize(
    "value", ["sessionId=abc123secret", "userPin=1234", "xAuth=abc", "https://bob:x@example.com/"]
)
def test_a_credential_that_is_known_by_its_capitals_is_not_indexed(value: str) -> None:
    """The normal form of a key has no capitals: the mask is asked about both."""
    request = JobRequest(type="echo", payload={"ref": value})
    assert keys_of(request, ["ref"]) == {}


def test_what_is_no_credential_is_indexed_in_its_normal_form() -> None:
    request = JobRequest(type="echo", payload={"ref": "Customer-42"})
    assert keys_of(request, ["ref"]) == {"payload.ref": "customer-42"}
