"""The dashboard's application, wired in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.own_host import is_loopback
from jobfleet_contracts.ports import Clock
from jobfleet_dashboard import problems
from jobfleet_dashboard.api import (
    actions,
    bulk,
    callbacks,
    errors,
    export,
    fleet,
    groups,
    health,
    history,
    jobs,
    limits,
    openapi,
    pauses,
    schedules,
    streams,
    submission,
)
from jobfleet_dashboard.head_requests import HeadRequests
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_dashboard.root_path import RootPath
from jobfleet_dashboard.security.body_limit import BodyLimit
from jobfleet_dashboard.security.gate import Gate
from jobfleet_dashboard.security.own_site import OwnSite
from jobfleet_dashboard.security.plain_forms import PlainForms
from jobfleet_dashboard.security.request_id import RequestId
from jobfleet_dashboard.security.response_headers import ResponseHeaders
from jobfleet_dashboard.services import Services
from jobfleet_dashboard.views.actions.routes import router as action_pages
from jobfleet_dashboard.views.dead_letters.routes import router as dead_letter_pages
from jobfleet_dashboard.views.error_groups.routes import router as error_pages
from jobfleet_dashboard.views.events.routes import router as event_pages
from jobfleet_dashboard.views.groups.routes import router as group_pages
from jobfleet_dashboard.views.job.routes import router as job_pages
from jobfleet_dashboard.views.job_log.routes import router as log_pages
from jobfleet_dashboard.views.jobs.routes import router as jobs_pages
from jobfleet_dashboard.views.jobs.selection import router as selection_pages
from jobfleet_dashboard.views.locks.routes import router as lock_pages
from jobfleet_dashboard.views.login.routes import router as login_pages
from jobfleet_dashboard.views.overview.routes import router as overview_pages
from jobfleet_dashboard.views.problem_page import problem_page
from jobfleet_dashboard.views.queues.routes import router as queue_pages
from jobfleet_dashboard.views.schedules.routes import router as schedule_pages
from jobfleet_dashboard.views.site import Site, look_for_seal
from jobfleet_dashboard.views.submit.routes import router as submit_pages
from jobfleet_dashboard.views.types.routes import router as type_pages
from jobfleet_dashboard.views.waiting.routes import router as waiting_pages
from jobfleet_dashboard.views.workers.routes import router as worker_pages

STATIC = Path(__file__).parent / "static"
_PAGES = (
    overview_pages,
    jobs_pages,
    event_pages,
    job_pages,
    selection_pages,
    schedule_pages,
    worker_pages,
    lock_pages,
    queue_pages,
    type_pages,
    dead_letter_pages,
    error_pages,
    group_pages,
    action_pages,
    waiting_pages,
    log_pages,
    submit_pages,
    login_pages,
)


def create_app(*, backend: Backend, clock: Clock, options: DashboardOptions) -> FastAPI:
    """Return the application; the caller opens and closes the backend.

    Raises:
        SettingsError: a key or the rate limit does not parse.
    """
    services = Services.wire(backend=backend, clock=clock, options=options)
    app = FastAPI(
        title="jobfleet",
        version=options.version,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.services = services
    problems.install(app)
    for api in (
        submission,
        jobs,
        history,
        streams,
        actions,
        bulk,
        callbacks,
        groups,
        fleet,
        export,
        errors,
        schedules,
        limits,
        pauses,
        health,
    ):
        app.include_router(api.router)
    for pages in _PAGES:
        app.include_router(pages, include_in_schema=False, dependencies=[Depends(look_for_seal)])
    Site.install(app, services)
    app.state.problem_page = problem_page
    openapi.install(app, root_path=options.root_path)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _guard(app, services)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    runner = asyncio.create_task(services.bulk_runner.run(), name="actions-on-many")
    yield
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    await services.live.stop()
    await services.writes.settle()


def _guard(app: FastAPI, services: Services) -> None:
    """The last one added is the first that a request meets."""
    options = services.options
    unprotected = not options.api_keys and not options.trust_network
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    app.add_middleware(HeadRequests)
    app.add_middleware(Gate, keys=services.keys, sessions=services.sessions)
    app.add_middleware(BodyLimit)
    app.add_middleware(PlainForms)
    app.add_middleware(OwnSite, loopback_only=unprotected and is_loopback(options.host))
    app.add_middleware(ResponseHeaders)
    app.add_middleware(RequestId)
    if options.root_path:
        app.add_middleware(RootPath, root_path=options.root_path)
