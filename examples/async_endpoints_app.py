"""A web application whose slow requests become jobs: 202 at once, the result by a status route.

In this folder, in two terminals::

    uvicorn async_endpoints_app:app --port 8080
    jobfleet worker --handlers async_endpoints_app

and in a third::

    curl -i localhost:8080/reports/2025?copies=2 --json '{"title": "Penguins"}'
    curl 'localhost:8080<Location>'
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from jobfleet_publisher import Publisher
from jobfleet_publisher.async_endpoints import AsyncEndpoints
from jobfleet_worker import JobContext, handler

LAST_YEAR = 2025


class ReportOrder(BaseModel):
    """The body of the request, and the payload of the job."""

    title: str = Field(min_length=1, max_length=100)
    pages: int = Field(default=3, ge=1, le=50)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one publisher open while the application runs."""
    async with Publisher.from_env() as publisher:
        app.state.publisher = publisher
        yield


app = FastAPI(title="Reports", lifespan=lifespan)
endpoints = AsyncEndpoints(app, lambda: app.state.publisher)


@endpoints.post("/reports/{year}", job_type="reports.build", max_attempts=5)
async def order_report(year: int, order: ReportOrder, copies: int = 1) -> None:  # noqa: ARG001
    """Runs before the job is queued: what it raises is the answer, and there is no job."""
    if year > LAST_YEAR:
        raise HTTPException(422, f"{year} is not over yet")


@endpoints.post("/refresh", job_type="reports.refresh")
async def refresh_reports() -> None:
    """A route without a body."""


@handler("reports.build")
async def build_report(order: ReportOrder, context: JobContext) -> dict[str, object]:
    """Write page after page; the request's parameters are in ``context.request``."""
    year = int(context.request["routeParams"]["year"])
    copies = int(context.request["queryParams"].get("copies", 1))
    for page in range(1, order.pages + 1):
        await asyncio.sleep(0.05)  # here the page would be written
        await context.progress(page, order.pages, f"page {page}")
    return {"file": f"{order.title}-{year}.pdf", "copies": copies}


@handler("reports.refresh")
async def refresh(_: None, context: JobContext) -> str:
    """Nobody sent a payload; the request's headers are there all the same."""
    return f"refreshed for {context.request['headers'].get('user-agent', 'nobody')}"
