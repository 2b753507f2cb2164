"""Workers declare the schedules of their code: once, the newest content, through outages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.reading.schedule_record import ScheduleReader
from jobfleet_worker import handler, schedule
from jobfleet_worker.upkeep import code_schedules, election, scheduler
from tests.polling import eventually
from tests.worker.workshop import RunningWorker, Workshop


def code(*, seconds: int, **options: Any) -> Any:
    @schedule(every=timedelta(seconds=seconds), name="often", **options)
    @handler("tick")
    async def tick(payload: Any = None) -> None: ...

    return tick


async def log_of(workshop: Workshop) -> list[ControlEntry]:
    log = await workshop.real.control_log.history(ControlSubject.SCHEDULE, "often", limit=1000)
    return list(log)[::-1]


async def declared(workshop: Workshop) -> list[float]:
    kinds = (ControlKind.DECLARED, ControlKind.CHANGED)
    log = await log_of(workshop)
    return [e.state["definition"]["everySeconds"] for e in log if e.kind in kinds]


async def until_declared(workshop: Workshop, *seconds: float) -> None:
    async def found() -> bool:
        return await declared(workshop) == [*seconds]

    await eventually(f"declarations {seconds}", found)


async def looked(running: RunningWorker) -> None:
    await running.worker._upkeep.code_schedules.look()


async def test_workers_that_start_together_declare_once(workshop: Workshop) -> None:
    workers = [workshop.start_worker(code(seconds=3600)) for _ in range(4)]
    await until_declared(workshop, 3600)
    for each in workers:
        await looked(each)
    assert await declared(workshop) == [3600]


async def test_a_worker_says_what_it_declares(workshop: Workshop) -> None:
    workshop.start_worker(code(seconds=3600))
    await until_declared(workshop, 3600)
    (status,) = await workshop.real.directory.workers()
    assert [*status.schedules] == ["often"]


async def test_an_older_content_comes_back_only_when_nobody_declares_the_newer(
    workshop: Workshop,
) -> None:
    old = workshop.start_worker(code(seconds=3600))
    await until_declared(workshop, 3600)
    new = workshop.start_worker(code(seconds=60))
    await until_declared(workshop, 3600, 60)
    with capture_logs() as lines:
        await looked(old)
        await looked(old)
    assert await declared(workshop) == [3600, 60]
    warnings = [line for line in lines if line["event"] == code_schedules.CONTENTS_DIFFER]
    assert len(warnings) in (1, 2)  # each worker once, and the other one looks when it likes
    warning = warnings[0]
    assert warning["schedule"] == "often"
    assert sorted(map(tuple, warning["contents"].values())) == [("w1",), ("w2",)]
    await new.stop()
    await looked(old)
    assert await declared(workshop) == [3600, 60, 3600]


async def test_a_deployment_does_not_resume_and_a_removal_stands(workshop: Workshop) -> None:
    first = workshop.start_worker(code(seconds=3600))
    await until_declared(workshop, 3600)
    schedules = first.worker._upkeep.code_schedules._schedules
    await schedules.pause("often", by="me")
    await looked(workshop.start_worker(code(seconds=3600)))
    head = (await log_of(workshop))[-1]
    assert head.state["paused"] is not None
    await schedules.remove("often", by="me")
    await looked(workshop.start_worker(code(seconds=3600)))
    assert (await log_of(workshop))[-1].kind is ControlKind.REMOVED


async def test_a_worker_says_whose_payload_its_handler_refuses(workshop: Workshop) -> None:
    @handler("mail")
    async def mail(payload: dict[str, int]) -> None: ...

    running = workshop.start_worker(mail)
    schedules = running.worker._upkeep.code_schedules._schedules
    reader = ScheduleReader(
        schedules=schedules,
        trail=workshop.real.trail,
        directory=workshop.real.directory,
        clock=SystemClock(),
    )

    async def refusals(payload: Any) -> str | None:
        schedule = Schedule(name="news", type="mail", cron="0 6 * * *", payload=payload)
        await schedules.declare(schedule, by="me")
        await looked(running)
        await running.worker._upkeep.heartbeat.beat()
        record = await reader.find("news")
        assert record is not None
        refusal: str | None = record.to_json()["payloadRefused"]
        return refusal

    with capture_logs() as lines:
        wrong = await refusals({"to": "me"})
    assert wrong is not None
    assert wrong.startswith("payload.to is refused: ")
    (warning,) = [line for line in lines if line["event"] == code_schedules.PAYLOAD_REFUSED]
    assert warning["schedule"] == "news"
    assert await refusals({"to": 7}) is None


async def test_an_outage_is_waited_for_and_jobs_run_meanwhile(workshop: Workshop) -> None:
    workshop.directory.lose_request("beat", times=3)
    workshop.directory.lose_request("workers", times=2)
    workshop.start_worker(code(seconds=3600), heartbeat_seconds=0.3)
    ended = await workshop.run("tick")
    assert ended.after.state is State.COMPLETED
    assert await declared(workshop) == []
    await until_declared(workshop, 3600)


async def test_a_worker_whose_clock_is_wrong_fires_nothing_and_lets_another_lead(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(election, "RELUCTANT_TERM", 0.2)
    with capture_logs() as lines:
        workshop.start_worker(
            code(seconds=1, overlap="allow", catch_up="all"),
            rescue_seconds=0.2,
            clock_offset=lambda: -7.0,
        )
        await until_declared(workshop, 1)

        async def clock_is_wrong() -> bool:
            return any(line["event"] == scheduler.CLOCK_WRONG for line in lines)

        await eventually("the worker has said that its clock is wrong", clock_is_wrong)
    assert not await fired(workshop)
    workshop.start_worker(code(seconds=1, overlap="allow", catch_up="all"), rescue_seconds=0.2)

    async def some() -> bool:
        return len(await fired(workshop)) >= 3

    await eventually("the worker with the right clock fires", some)
    off = {each.worker_id: each.clock_off_seconds for each in await statuses(workshop)}
    assert off["w1"] == -7.0


async def fired(workshop: Workshop) -> list[ControlEntry]:
    return [entry for entry in await log_of(workshop) if entry.kind is ControlKind.FIRED]


async def statuses(workshop: Workshop) -> list[WorkerStatus]:
    return [*await workshop.real.directory.workers()]
