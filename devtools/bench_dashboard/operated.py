"""What people and workers did beside running jobs, through the API and ports of a real fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from aiohttp import ClientSession

from devtools.bench_dashboard.landmarks import OTHER_WORKER, WORKER, Landmarks
from devtools.bench_dashboard.places import LIMIT, SCHEDULE, Places
from devtools.bench_dashboard.served_here import served_here
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.log_line import LogLine
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.bulk_action import BATCH, BulkAction, BulkActions, JobResult
from jobfleet_protocol.control.type_keys import TypeKeys
from jobfleet_protocol.reading.job_actions import JobAction

_LOG_PART = 60_000


@dataclass(frozen=True, slots=True)
class Deeds:
    """How much of each there is."""

    schedules: int = 50
    limits: int = 20
    pauses: int = 300
    members: int = 500
    gone_workers: int = 200
    log_bytes: int = 1_000_000


FEW = Deeds(schedules=2, limits=1, pauses=2, members=3, gone_workers=2, log_bytes=2_000)


@dataclass(frozen=True, slots=True)
class Operated:
    """Ids of what was made."""

    action: str
    group: str


async def operate(
    backend: Backend, settings: Settings, *, dead: Sequence[str], logged: str, deeds: Deeds
) -> Operated:
    """Declare schedules and limits, pause and resume, act on the dead jobs, fill a group and a log.

    Args:
        dead: jobs that an action has dismissed, as its log says; they themselves stay.
        logged: the job whose first epoch has said much.
    """
    now = SystemClock().now()
    await TypeKeys(log=backend.control_log, clock=SystemClock()).announce(
        "bench.type-1", ["customer"]
    )
    await _log(backend, logged, now, deeds.log_bytes)
    for number in range(deeds.gone_workers):
        await backend.directory.beat(_gone(number, now))
    async with served_here(backend, settings) as session:
        await _declare(session, deeds)
        group = await _group(session, deeds.members)
    return Operated(await _acted(backend, dead), group)


def places_of(found: Landmarks, done: Operated, *, errors: str) -> Places:
    """Return what pages name in such a fleet."""
    return Places(
        ended=found.ended[0].job_id,
        long=found.long[0].job_id,
        large=found.large[0].job_id,
        waiter=found.waiters[-1][0].job_id,
        worker=OTHER_WORKER,
        gone=WORKER,
        action=done.action,
        group=done.group,
        errors=errors,
    )


async def _declare(session: ClientSession, deeds: Deeds) -> None:
    names = [SCHEDULE, *(f"report-{n}" for n in range(1, deeds.schedules))]
    for name in names:
        schedule = {"type": "bench.type-1", "cron": "0 6 * * *", "reason": "new"}
        await _done(session, "PUT", f"/api/schedules/{name}", schedule)
    for number in range(deeds.limits):
        name = LIMIT if number == 0 else f"api-{number}"
        await _done(session, "PUT", f"/api/limits/{name}", {"slots": 5})
    for number in range(deeds.pauses):
        path = f"/api/schedules/{SCHEDULE}/{'resume' if number % 2 else 'pause'}"
        await _done(session, "POST", path, {"reason": f"change {number}"})
    await _done(session, "POST", "/api/queues/reports/pause", {"reason": "the report is wrong"})


async def _group(session: ClientSession, members: int) -> str:
    """Open a group, of whose members every fifth is cancelled."""
    opened = await _done(session, "POST", "/api/groups", {"name": "close the books"})
    group_id = str(opened["jobId"])
    jobs = [{"type": "bench.type-1", "queue": "reports"} for _ in range(members)]
    body = {"first": 0, "jobs": jobs}
    answers = await _done(session, "POST", f"/api/groups/{group_id}/members", body)
    await _done(session, "POST", f"/api/groups/{group_id}/seal", {"total": members})
    ids = [one["jobId"] for one in answers["items"]][::5]
    await _done(session, "POST", "/api/jobs/actions", {"action": "cancel", "ids": ids})
    return group_id


async def _done(session: ClientSession, method: str, path: str, body: Any) -> Any:
    async with session.request(method, path, json=body) as answer:
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
        return await answer.json() if answer.content_type == "application/json" else None


async def _acted(backend: Backend, dead: Sequence[str]) -> str:
    """Write the log of an action on many jobs, as its runner does."""
    clock = SystemClock()
    log = backend.control_log
    journal = ActionJournal(log=log, clock=clock)
    actions = BulkActions(log=log, payloads=backend.payloads, journal=journal, clock=clock)
    state: BulkAction | None = await actions.accept(
        JobAction.DISMISS, dead, by="eva", reason="the CRM was down", scope="type:bench.type-7"
    )
    for start in range(0, len(dead), BATCH):
        assert state is not None
        ids = dead[start : start + BATCH]
        after = replace(state, next=state.next + len(ids), done=state.done + len(ids))
        results = [JobResult(job_id, "failed", None) for job_id in ids]
        state = await actions.advance(state, after, results)
    assert state is not None
    ended = await actions.advance(state, replace(state, ended_at=clock.now()))
    assert ended is not None
    await actions.close(ended)
    return ended.action_id


async def _log(backend: Backend, job_id: str, now: datetime, size: int) -> None:
    position, number = 0, 0
    while position < size:
        part = b""
        while len(part) < _LOG_PART:
            moment = now - timedelta(hours=3) + timedelta(milliseconds=number)
            message = f"row {number} of the file has been read, and nothing was wrong with it"
            part += LogLine(at=moment, attempt=1, level="info", message=message).encode()
            number += 1
        await backend.logs.append(job_id, 1, position, part)
        position += len(part)


def _gone(number: int, now: datetime) -> WorkerStatus:
    stopped = now - timedelta(minutes=10, seconds=number)
    return WorkerStatus(
        worker_id=new_id(),
        host=f"node-{number}",
        started_at=stopped - timedelta(hours=5),
        heartbeat_at=stopped,
        stopped_at=stopped,
        slots=20,
        queues=("default",),
        types=("demo.steps",),
        runs=4_000,
        failures=12,
    )
