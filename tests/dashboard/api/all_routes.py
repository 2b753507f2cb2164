"""Every route of the application, so that a test meets the next one that somebody adds."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import APIRoute

from tests.dashboard.api.life import WORKER


def all_routes(app: FastAPI) -> Iterator[APIRoute]:
    """Yield the routes of all included routers."""
    for route in app.routes:
        router = getattr(route, "original_router", None)
        if router is not None:
            yield from (one for one in router.routes if isinstance(one, APIRoute))


def addressed(route: APIRoute, job_id: str) -> str:
    """Return an address of the route, with this job wherever one is asked for."""
    path = route.path.replace(":uuid", "").replace("{jobId}", job_id)
    path = path.replace("{name}", "nightly")
    path = path.replace("{actionId}", job_id).replace("{action_id}", job_id)
    path = path.replace("{group_id}", "0" * 16).replace("{epoch}", "1")
    path = path.replace("{workerId}", WORKER)
    return path.replace("{job_id}", job_id).replace("{verb}", "cancel")
