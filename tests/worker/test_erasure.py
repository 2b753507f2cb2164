"""Erasing: the values of an ended job go, its events and their hashes stay."""

from __future__ import annotations

import json

import pytest

from jobfleet_contracts.errors import (
    ActionRefused,
    BackendForbidden,
    InvalidRequest,
    UnknownJob,
)
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.actions.erasure import ERASURE_SECONDS
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.audit.export_check import check_export
from jobfleet_protocol.audit.index_drift import DriftCheck
from jobfleet_protocol.audit.verification import verify_job
from jobfleet_protocol.reading.export_line import event_of_line, export_line
from jobfleet_worker import JobContext, handler
from jobfleet_worker.upkeep.open_erasures import WATCHED_SECONDS
from tests.polling import eventually
from tests.protocol.faulty_port import FaultyPort
from tests.protocol.steered_clock import SteeredClock
from tests.worker.test_rescuer import Ward
from tests.worker.workshop import Workshop

SECRET = "grace.hopper@example.org"


@handler("greet", index=["user"])
async def greet(payload: dict[str, str], context: JobContext) -> str:
    await context.progress(1, 2, f"looking for {payload['user']}")
    await context.checkpoint({"seen": payload["user"]})
    return payload["user"] * 4000


@handler("refuse")
async def refuse(payload: dict[str, str]) -> None:
    raise ValueError(f"unknown: {payload['user']}")


async def everything_stored(workshop: Workshop) -> str:
    """Return all texts and blobs of the database that a reader of the file would find."""
    database = workshop.real.trail._database  # type: ignore[attr-defined]

    def read(connection: object) -> str:
        tables = connection.execute(  # type: ignore[attr-defined]
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'workers'"
        ).fetchall()
        rows = [
            (name, row)
            for (name,) in tables
            for row in connection.execute(f"SELECT * FROM {name}").fetchall()  # type: ignore[attr-defined]  # noqa: S608
        ]
        return repr(rows)

    found: str = await database.read(read)
    return found


async def an_hour_later(workshop: Workshop, clock: SteeredClock) -> None:
    """Let the rescuer look at the notes when their time has come, and a minute later."""
    ward = Ward(workshop, clock)
    clock.advance(ERASURE_SECONDS + 1)
    for _ in range(4):
        await ward.sweep()
        clock.advance(WATCHED_SECONDS + 1)


async def is_erased(workshop: Workshop, job_id: str) -> bool:
    opening = await workshop.real.trail.read(job_id, 1)
    await workshop.real.index.flush()
    open_rows = await workshop.real.reader.open_rows()
    return opening is not None and opening.is_erased and not open_rows.items


async def test_no_value_of_an_erased_job_is_left_and_its_chain_is_whole(
    workshop: Workshop, clock: SteeredClock
) -> None:
    running = workshop.start_worker(greet, refuse)
    fields = {"job_name": f"greet {SECRET}", "description": f"for {SECRET}"}
    context = {"who": SECRET}
    greeted = await workshop.submit("greet", {"user": SECRET}, context=context, **fields)
    refused = await workshop.submit("refuse", {"user": SECRET}, max_attempts=1, **fields)
    for job_id in (greeted, refused):
        await workshop.until_ended(job_id)
    await running.stop()
    assert await workshop.real.logs.append(greeted, 1, 0, SECRET.encode())
    heads = {j: await workshop.real.trail.newest(j) for j in (greeted, refused)}
    for job_id in heads:
        await workshop.eraser.erase(job_id, by="ann", reason="she asked for it")
        await workshop.eraser.erase(job_id, by="bo", reason="twice counts once")
        with pytest.raises(ActionRefused, match="erased by ann"):
            await workshop.redriver.redrive(job_id, by="ann")
    assert SECRET in await everything_stored(workshop)
    await an_hour_later(workshop, clock)
    for job_id in heads:
        assert await is_erased(workshop, job_id)
    stored = await everything_stored(workshop)
    assert SECRET not in stored, stored[max(stored.index(SECRET) - 300, 0) :][:400]
    for job_id, head in heads.items():
        assert head is not None
        history = await workshop.history(job_id)
        assert [e.status for e in history[-2:]] == [head.status, "Erased"]
        assert history[-2].hash == head.hash
        assert history[-1].data == {"reason": "she asked for it", "by": "ann"}
        assert verify_job(history) == []
        for raw in (True, False):
            lines = [json.loads(json.dumps(export_line(e, raw=raw))) for e in history]
            assert list(check_export([event_of_line(line) for line in lines])) == []
    dead = await workshop.real.reader.jobs(JobQuery(dead=True))
    assert list(dead.items) == []
    listed = await workshop.real.reader.jobs(JobQuery())
    assert sorted(row.facts.job_name for row in listed.items) == ["greet", "refuse"]
    again = JobRequest(type="greet", job_id=greeted, payload={"user": "other"})
    assert not (await workshop.submitter.submit(again)).created


async def test_only_ended_jobs_are_erased_and_a_reason_is_needed(workshop: Workshop) -> None:
    job_id = await workshop.submit("greet", {"user": "ada"})
    eraser = workshop.eraser
    with pytest.raises(ActionRefused, match="cancel it first"):
        await eraser.erase(job_id, by="ann", reason="asked")
    with pytest.raises(UnknownJob):
        await eraser.erase(new_id(), by="ann", reason="asked")
    with pytest.raises(InvalidRequest) as refusal:
        await eraser.erase(job_id, by="ann", reason=" ")
    assert refusal.value.field == "reason"
    await workshop.canceller.cancel(job_id, by=None)
    store = workshop.eraser._store = FaultyPort(workshop.real.retention)
    store.lose_request("check_rights", error=BackendForbidden("role reports may not UPDATE"))
    with pytest.raises(ActionRefused, match="may not erase: role reports may not UPDATE"):
        await eraser.erase(job_id, by="ann", reason="asked")
    assert (await workshop.head(job_id)).status == "Cancelled"


async def test_the_callback_of_an_erased_job_is_stopped_and_erased(
    workshop: Workshop, clock: SteeredClock
) -> None:
    running = workshop.start_worker(greet)
    url = "http://192.0.2.1/result"
    job_id = await workshop.submit("greet", {"user": SECRET}, callback_url=url)
    await workshop.until_ended(job_id)
    callback = callback_job_id(job_id, 1)
    await eventually("the callback job stands", lambda: workshop.real.trail.newest(callback))
    await running.stop()
    await workshop.eraser.erase(job_id, by="ann", reason="asked")
    assert (await workshop.head(callback)).after.state.is_terminal
    await an_hour_later(workshop, clock)
    assert (await workshop.head(callback)).status == "Erased"
    await an_hour_later(workshop, clock)
    assert await is_erased(workshop, callback)
    assert await is_erased(workshop, job_id)


async def test_an_index_without_the_note_of_an_erasure_is_drift(workshop: Workshop) -> None:
    job_id = await workshop.submit("greet", {"user": SECRET})
    await workshop.canceller.cancel(job_id, by=None)
    await workshop.eraser.erase(job_id, by="ann", reason="asked")
    await workshop.real.index.flush()

    async def drift() -> list[str]:
        check = DriftCheck()
        async for history in workshop.real.trail.scan():
            check.add(history)
        found = await check.compare(workshop.real.reader, workshop.real.trail)
        return [each.message for each in found]

    assert await drift() == []
    await workshop.real.index.close(job_id, 2)
    assert await drift() == ["values are to be removed, and no open row says so"]
    history = await workshop.history(job_id)
    await workshop.real.index.open(workshop.eraser.note_of(history[-1]))
    assert await drift() == []
