"""Every page that reads, for tests of what a page costs on a backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from starlette.routing import Route

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.lease import limit_lock
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.app import create_app
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.reading.job_actions import JobAction
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of, options_with
from tests.dashboard.jumping_clock import JumpingClock

Counts = Callable[[], tuple[int, int]]
"""Returns what was asked of a backend so far, and the rows it answered."""
Cost = tuple[int, int]

OVERVIEW = "/"
VERDICT = "/api/verdict"
KEY = "payload.customer"
FOUND = f"/jobs?q={KEY}:acme"
"""Jobs that are looked up by a key."""
GROUP = "/errors/{group}"
WORKER = "01a00000-0000-7000-8000-0000000000aa"
PAGES = (
    OVERVIEW,
    VERDICT,
    "/jobs",
    "/jobs?state=completed",
    "/jobs?state=failed&state=timedOut",
    "/jobs?state=queued",
    "/jobs?state=deferred",
    "/jobs?type=demo.steps",
    "/jobs?type=nowhere",
    "/jobs?queue=default",
    "/jobs?q=number",
    "/jobs?q=nowhere",
    "/jobs?q=type:nowhere.*",
    f"/jobs?q={KEY}:nobody",
    FOUND,
    "/jobs?lock=k",
    "/jobs?window=24h",
    "/jobs/words",
    "/events",
    "/events?window=24h",
    "/events?q=nowhere",
    "/events?q=error:nowhere",
    "/events?q=-status:step+worker:nobody",
    "/events/words",
    "/jobs/{job}",
    "/jobs/{job}/waiting",
    "/jobs/{job}/log",
    "/jobs/{job}/attempts/1",
    "/queues",
    "/types",
    "/types?span=day",
    "/schedules",
    "/schedules/often",
    "/workers",
    f"/workers/{WORKER}",
    "/locks",
    "/dead-letters",
    "/errors",
    "/errors?range=7d",
    "/errors/0123456789abcdef",
    GROUP,
    "/actions",
    "/actions/jobs",
    "/actions/{action}",
    "/submit",
    "/api/jobs",
    "/api/limits",
    "/api/stats",
)
LIMIT, SLOTS = "api-crm", 12
"""More slots are held than a page looks up jobs for."""


def pages_without_cost(app: FastAPI) -> set[str]:
    """Return the addresses of pages that no test judges."""
    paths = {page.partition("?")[0] for page in PAGES}
    return {
        route.path
        for route in app.routes
        if isinstance(route, Route)
        and "GET" in (route.methods or ())
        and not route.include_in_schema
        and not route.path.startswith(("/stream/", "/docs", "/login", "/openapi.json"))
        and not any(route.path_regex.match(path) for path in paths)
    }


async def costs_of_pages(
    backend: Backend, counts: Counts, *, job_id: str, group_id: str, action_id: str
) -> dict[str, Cost]:
    """Return what each page asks and reads.

    Whatever the dashboard keeps is old at each, but for the verdict, which all pages share: the
    first screen is judged while it is fresh, and the verdict apart.
    """
    clock, costs = JumpingClock(), {}
    client = AsgiClient(create_app(backend=backend, clock=clock, options=options_with()))
    async with _held_slots(backend, job_id):
        for page in PAGES:
            clock.jump()
            if page == OVERVIEW:
                await client.get(VERDICT)
            path = page.format(job=job_id, group=group_id, action=action_id)
            address, _, query = path.partition("?")
            pairs: Any = parse_qsl(query)
            asked, rows = counts()
            answer = await client.request("GET", address, query=pairs)
            assert answer.status == 200, (page, answer.status)
            costs[page] = counts()[0] - asked, counts()[1] - rows
    return costs


async def declare(backend: Backend, job_id: str) -> str:
    """Set schedules, a limit and a pause, name a worker; return the id of an action on a job."""
    client = client_of(backend)
    now = datetime.now(UTC)
    await backend.directory.beat(WorkerStatus(worker_id=WORKER, started_at=now, heartbeat_at=now))
    for name in ("often", "other"):
        await _done(client, "PUT", f"/api/schedules/{name}", {"type": "x", "everySeconds": 30})
    await _done(client, "PUT", f"/api/limits/{LIMIT}", {"slots": SLOTS})
    await _done(client, "POST", "/api/queues/slow/pause", {"reason": "audit"})
    bulk = client.app.state.services.bulk
    action = await bulk.accept(JobAction.DISMISS, [job_id], by="eva", reason="", scope="one job")
    action_id: str = action.action_id
    return action_id


async def _done(client: AsgiClient, method: str, path: str, body: dict[str, object]) -> None:
    answer = await client.request(method, path, body=body)
    assert answer.status < 300, (path, answer.json)


@asynccontextmanager
async def _held_slots(backend: Backend, job_id: str) -> AsyncIterator[None]:
    lease_id = new_lease_id()
    locks = [limit_lock(LIMIT, slot) for slot in range(1, SLOTS + 1)]
    for lock in locks:
        await backend.leases.create(lock)
        await backend.leases.acquire(lock, lease_id, 60)
        await backend.locks.write_note(lock, lease_id, {"job": job_id})
    yield
    for lock in locks:
        await backend.leases.release(lock, lease_id)
