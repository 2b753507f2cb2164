"""The fleet: verdict, workers, locks, dead letters, statistics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from jobfleet_dashboard.api.descriptions import DEAD_LETTERS, LOCKS, STATS, VERDICT, WORKER, WORKERS
from jobfleet_dashboard.api.documents import (
    DeadLetterPage,
    LockList,
    StateList,
    VerdictDocument,
)
from jobfleet_dashboard.api.filters import PageFilter, VerdictFilter
from jobfleet_dashboard.api.request_parts import WorkerId
from jobfleet_dashboard.api.route_description import described
from jobfleet_dashboard.api.worker_documents import WorkerDetail, WorkerList
from jobfleet_dashboard.dead_letter_list import dead_letters
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.reading.lock_list import read_locks
from jobfleet_protocol.reading.worker_jobs import read_workers
from jobfleet_protocol.reading.worker_record import read_worker, worker_json

router = APIRouter(prefix="/api", dependencies=[require(Role.VIEWER)], tags=["fleet"])


@router.get("/workers", **described(WORKERS))
async def workers(request: Request) -> WorkerList:
    """Workers, longest running first."""
    services = services_of(request)
    backend, now = services.backend, services.clock.now()
    found = await read_workers(backend.directory, backend.trail, now)
    items = [worker_json(status, now) for status in found]
    return WorkerList.model_validate({"items": items})


@router.get("/workers/{workerId:uuid}", **described(WORKER))
async def worker(request: Request, worker_id: WorkerId) -> WorkerDetail:
    """One worker: whether it lives, what it ran, and which jobs it lost."""
    services = services_of(request)
    backend = services.backend
    record = await read_worker(
        worker_id,
        directory=backend.directory,
        reader=backend.reader,
        trail=backend.trail,
        now=services.clock.now(),
    )
    return WorkerDetail.model_validate(record.to_json())


@router.get("/locks", **described(LOCKS))
async def locks(request: Request) -> LockList:
    """Lock keys that are held or waited for, with the first ten waiters of each."""
    backend = services_of(request).backend
    found = await read_locks(
        locks=backend.locks, directory=backend.directory, reader=backend.reader
    )
    return LockList.model_validate({"items": [record.to_json() for record in found]})


@router.get("/dead-letters", **described(DEAD_LETTERS))
async def dead_letter_page(
    request: Request, query: Annotated[PageFilter, Query()]
) -> DeadLetterPage:
    """Malformed messages, then jobs that failed for good; each newest first."""
    services = services_of(request)
    async with services.list_turn:
        return await dead_letters(
            store=services.backend.dead_letters,
            reader=services.backend.reader,
            cursor=query.cursor,
            limit=query.limit,
        )


@router.get("/verdict", **described(VERDICT))
async def verdict(request: Request, query: Annotated[VerdictFilter, Query()]) -> VerdictDocument:
    """Whether the fleet is well: what is wrong, worst first."""
    reader = services_of(request).verdict
    found = await reader.read(max_age_seconds=query.max_age_seconds)
    return VerdictDocument.model_validate(found.to_json())


@router.get("/stats", **described(STATS))
async def stats(request: Request) -> StateList:
    """Counts per state; rates and durations of the last hour, and ended jobs of the last day."""
    return (await services_of(request).stats.read()).document()
