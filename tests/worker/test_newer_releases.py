"""A worker beside a newer release: it leaves alone what it does not know, or does not start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobfleet_contracts.errors import ReleaseTooOld
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage
from jobfleet_protocol.control.used_level import UsedLevels
from jobfleet_protocol.trail.chain import linked
from tests.polling import eventually
from tests.worker.workshop import Workshop


async def test_a_worker_below_the_used_level_does_not_start(workshop: Workshop) -> None:
    used = UsedLevels(log=workshop.backend.control_log, clock=workshop.clock)
    await used.raise_to(2, by="ann", reason="a job with colour")
    old = workshop.start_worker(level=1, version="0.1.0", worker_id="old")
    with pytest.raises(ReleaseTooOld, match=r"0.1.0 has protocol level 1.*level 2 .*colour"):
        await old.ended()
    assert [w.worker_id for w in await workshop.backend.directory.workers()] == []
    workshop.start_worker(level=2, worker_id="new")
    await workshop.run("demo.steps", {"steps": 1, "stepSeconds": 0})
    (row,) = await workshop.backend.directory.workers()
    assert (row.worker_id, row.level) == ("new", 2)
    await eventually("the worker's row says that it leads", lambda: _leads(workshop))


async def _leads(workshop: Workshop) -> bool:
    return any(each.leads for each in await workshop.backend.directory.workers())


async def _is_put_off(workshop: Workshop) -> bool:
    return workshop.queue.calls["publish_later"] > 0


async def test_a_job_after_an_unknown_event_is_put_off_and_kept(workshop: Workshop) -> None:
    request = await workshop.submit_unpublished("demo.steps", {"steps": 1, "stepSeconds": 0})
    head = await workshop.backend.trail.newest(request.job_id)
    assert head is not None
    after = replace(head.after, sequence=2, lifecycle_before=1)
    strange = replace(head, after=after, status="Invented", event_id=new_id())
    await workshop.backend.trail.insert([linked(head, strange)])
    await workshop.backend.queue.publish(JobMessage(request=request))
    workshop.start_worker()
    await eventually("the message is put off", lambda: _is_put_off(workshop))
    assert await workshop.statuses(request.job_id) == ["Queued", "Invented"]
    assert list((await workshop.backend.dead_letters.letters()).items) == []
    with pytest.raises(AssertionError, match="Invented"):
        await workshop.verified()
    workshop.verified = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    """The fixture's own check has been made."""
